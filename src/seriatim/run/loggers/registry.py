"""The loggers by name. The library of each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from seriatim.errors import MissingExtra
from seriatim.run.loggers.protocol import Logger

LOGGERS = {
    "tensorboard": ("seriatim.run.loggers.tensorboard", "TensorBoard"),
    "wandb": ("seriatim.run.loggers.weights_and_biases", "WeightsAndBiases"),
    "mlflow": ("seriatim.run.loggers.mlflow", "MLflow"),
}
"""The module and the class of each."""


def make_logger(name: str | None) -> Logger | None:
    """Return the logger called ``name``, or None for None. Raises ``MissingExtra`` if its library is not installed."""
    if name is None:
        return None
    module, class_ = LOGGERS[name]
    try:
        logger: Logger = getattr(import_module(module), class_)()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "seriatim":
            raise
        raise MissingExtra(f"--log {name}", name) from error
    return logger
