"""Train recurrent models on sequences with an ordinary CPU, and see whether they beat naive models.

    import seriatim

    run = seriatim.train("forecast", "prices.csv", target="close", horizon=24)
    run.result["scores"], run.result["baselines"]
    run = seriatim.load("runs/forecast-lstm-1")

Importing this package loads neither NumPy nor PyTorch: each public name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from seriatim.version import __version__ as __version__

if TYPE_CHECKING:
    from seriatim import estimators as estimators
    from seriatim import nn as nn
    from seriatim import online as online
    from seriatim import runtime as runtime
    from seriatim import scoring as scoring
    from seriatim import tune as tune
    from seriatim.errors import ArgumentError as ArgumentError
    from seriatim.errors import DataError as DataError
    from seriatim.errors import Interrupted as Interrupted
    from seriatim.errors import MissingExtra as MissingExtra
    from seriatim.errors import RunError as RunError
    from seriatim.errors import SeriatimError as SeriatimError
    from seriatim.errors import TensorError as TensorError
    from seriatim.errors import TrainingError as TrainingError
    from seriatim.errors import UsageError as UsageError
    from seriatim.nn import accelerate as accelerate
    from seriatim.nn import restore as restore
    from seriatim.run import Run as Run
    from seriatim.run import compare as compare
    from seriatim.run import load as load
    from seriatim.run import train as train
    from seriatim.run import train_vectors as train_vectors

__all__ = [
    "ArgumentError",
    "DataError",
    "Interrupted",
    "MissingExtra",
    "Run",
    "RunError",
    "SeriatimError",
    "TensorError",
    "TrainingError",
    "UsageError",
    "__version__",
    "accelerate",
    "compare",
    "estimators",
    "load",
    "nn",
    "online",
    "restore",
    "runtime",
    "scoring",
    "train",
    "train_vectors",
    "tune",
]

_MODULES = {
    "ArgumentError": "seriatim.errors",
    "DataError": "seriatim.errors",
    "Interrupted": "seriatim.errors",
    "MissingExtra": "seriatim.errors",
    "Run": "seriatim.run",
    "RunError": "seriatim.errors",
    "SeriatimError": "seriatim.errors",
    "TensorError": "seriatim.errors",
    "TrainingError": "seriatim.errors",
    "UsageError": "seriatim.errors",
    "accelerate": "seriatim.nn",
    "compare": "seriatim.run",
    "estimators": "seriatim.estimators",
    "load": "seriatim.run",
    "nn": "seriatim.nn",
    "online": "seriatim.online",
    "restore": "seriatim.nn",
    "runtime": "seriatim.runtime",
    "scoring": "seriatim.scoring",
    "train": "seriatim.run",
    "train_vectors": "seriatim.run",
    "tune": "seriatim.tune",
}
"""The module of each public name. A public module maps to itself."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'seriatim' has no attribute '{name}'")
    try:
        module = import_module(_MODULES[name])
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "seriatim":
            raise
        from seriatim.errors import MissingExtra

        raise MissingExtra(f"seriatim.{name}", "train") from error
    value: object = module if module.__name__ == f"seriatim.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
