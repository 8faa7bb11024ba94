"""scikit-learn's own checks of an estimator's conventions; each check that is left out has its reason here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import estimator_checks_generator

from seriatim.estimators import SeriatimClassifier, SeriatimForecaster, SeriatimRegressor

ROUNDING = {
    "check_methods_subset_invariance": "asks for 1e-7, and float32 sums of another batch differ in the last bits; "
    "test_subset_has_equal_predictions asks for 1e-5",
}
SHORT = "its X has three columns or less, and a series of three steps cannot be split into three parts"
CASES: list[tuple[BaseEstimator, dict[str, str]]] = [
    (SeriatimClassifier(model="gru", hidden=8, epochs=1), ROUNDING),
    (SeriatimRegressor(model="gru", hidden=8, epochs=1), ROUNDING),
    (
        SeriatimForecaster(model="gru", hidden=8, epochs=1, lookback=1),
        ROUNDING
        | {
            "check_estimators_overwrite_params": SHORT,
            "check_estimators_fit_returns_self": SHORT,
            "check_readonly_memmap_input": SHORT,
            "check_fit2d_1feature": SHORT,
            "check_fit_idempotent": SHORT,
            "check_fit_check_is_fitted": SHORT,
            "check_n_features_in": SHORT,
        },
    ),
]
LEARNS = {
    "check_classifiers_train": {"epochs": 10, "lr": 0.03},
    "check_regressors_train": {"hidden": 16, "epochs": 60, "lr": 0.02},
}
"""Parameters for the checks that ask for a good score."""


def checks() -> Iterator[Any]:
    for estimator, skipped in CASES:
        for checked, check in estimator_checks_generator(
            estimator, legacy=True, expected_failed_checks=skipped, mark="skip"
        ):
            name = getattr(check, "func", check).__name__
            yield pytest.param(checked, check, id=f"{type(estimator).__name__}-{name}")


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learn_check(estimator: BaseEstimator, check: Any) -> None:
    name = getattr(check, "func", check).__name__
    check(estimator.set_params(**LEARNS.get(name, {})))
