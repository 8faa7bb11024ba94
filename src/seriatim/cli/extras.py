"""Which optional library comes with which extra of ``pip install 'seriatim[…]'``."""

from __future__ import annotations

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "polars", "sklearn", "matplotlib", "sacrebleu", "scipy", "soundfile", "PIL"),
    "bpe": ("tokenizers",),
    "serve": ("fastapi", "uvicorn"),
    "onnx": ("onnx", "onnxruntime"),
}
"""Import names of the libraries that each extra brings."""


def extra_of(module: str) -> str | None:
    """The extra that brings ``module`` (``torch.nn`` counts as ``torch``), or None."""
    root = module.split(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if root in modules), None)


def installed() -> dict[str, bool]:
    """For each extra: are all its libraries here? None of them is imported to find out."""
    from importlib.util import find_spec

    return {extra: all(find_spec(module) is not None for module in modules) for extra, modules in EXTRAS.items()}
