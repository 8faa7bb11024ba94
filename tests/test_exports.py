"""The list of public names, and the quick import of the package."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import seriatim

PUBLIC = (
    "ArgumentError", "DataError", "Interrupted", "MissingExtra", "Run", "RunError", "SeriatimError", "TensorError",
    "TrainingError", "UsageError", "__version__", "accelerate", "compare", "estimators", "load", "nn", "online",
    "restore", "runtime", "scoring", "train", "train_vectors", "tune",
)  # fmt: skip


def test_public_names():
    assert tuple(seriatim.__all__) == PUBLIC
    assert set(seriatim._MODULES) == set(PUBLIC) - {"__version__"}
    assert dir(seriatim) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_exist(name):
    value = getattr(seriatim, name)
    assert isinstance(value, (str, type, ModuleType)) or callable(value)


def test_every_error_is_public():
    errors = importlib.import_module("seriatim.errors")
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert classes <= set(PUBLIC)


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'seriatim' has no attribute 'trian'"):
        seriatim.trian  # noqa: B018


def test_missing_library_names_the_extra(monkeypatch):
    def absent(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(seriatim, "import_module", absent)
    monkeypatch.delitem(vars(seriatim), "train", raising=False)
    with pytest.raises(seriatim.MissingExtra, match=r"seriatim\.train needs an extra: pip install 'seriatim\[train\]'"):
        seriatim.train  # noqa: B018


def test_import_loads_nothing_heavy():
    code = """
import sys
import seriatim
seriatim.UsageError, seriatim.__version__
heavy = {"numpy", "torch", "polars", "typer", "rich"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""
    error = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert error.returncode == 0, error.stderr


def test_training_is_imported_without_the_libraries_of_other_extras():
    names = "optuna ray dask pyspark mlflow wandb tensorboard huggingface_hub sklearn pandas fastapi onnx"
    code = f"""
import sys, seriatim
seriatim.train, seriatim.load, seriatim.scoring.score
sys.exit(" ".join(set({names.split()}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stderr.strip() == ""
