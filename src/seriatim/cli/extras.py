"""The optional libraries of each extra of ``pip install 'seriatim[…]'``."""

from __future__ import annotations

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "polars", "sklearn", "matplotlib", "sacrebleu", "scipy", "statsmodels", "soundfile", "PIL"),
    "bpe": ("tokenizers",),
    "serve": ("fastapi", "uvicorn", "websockets", "redis"),
    "onnx": ("onnx", "onnxruntime"),
    "sklearn": ("sklearn",),
    "tune": ("optuna",),
    "ray": ("ray",),
    "dask": ("dask",),
    "spark": ("pyspark",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
    "huggingface": ("huggingface_hub",),
}
"""The import names of the libraries in each extra."""


def extra_of(module: str) -> str | None:
    """Return the extra that contains ``module`` (``torch.nn`` counts as ``torch``), or None."""
    root = module.split(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if root in modules), None)


def installed() -> dict[str, bool]:
    """Return for each extra whether all its libraries are installed, without importing them."""
    from importlib.util import find_spec

    return {extra: all(find_spec(module) is not None for module in modules) for extra, modules in EXTRAS.items()}
