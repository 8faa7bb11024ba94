"""Estimators with scikit-learn's conventions over ``seriatim.train`` and ``seriatim.load``.

    from seriatim.estimators import SeriatimClassifier

    classifier = SeriatimClassifier(model="gru", hidden=64, epochs=20)
    cross_val_score(classifier, sequences, labels)

``SeriatimClassifier``, ``SeriatimRegressor`` and ``SeriatimForecaster`` take the options of ``seriatim.train`` as
parameters. A fitted estimator holds an ordinary run: ``estimator.run_``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seriatim.estimators.classifier import SeriatimClassifier as SeriatimClassifier
    from seriatim.estimators.forecaster import SeriatimForecaster as SeriatimForecaster
    from seriatim.estimators.regressor import SeriatimRegressor as SeriatimRegressor

__all__ = ["SeriatimClassifier", "SeriatimForecaster", "SeriatimRegressor"]

_MODULES = {
    "SeriatimClassifier": "seriatim.estimators.classifier",
    "SeriatimForecaster": "seriatim.estimators.forecaster",
    "SeriatimRegressor": "seriatim.estimators.regressor",
}


def __getattr__(name: str) -> object:
    """Import an estimator, and scikit-learn with it, when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'seriatim.estimators' has no attribute '{name}'")
    try:
        value: object = getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "seriatim":
            raise
        from seriatim.errors import MissingExtra

        raise MissingExtra(f"seriatim.estimators.{name}", "train,sklearn") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
