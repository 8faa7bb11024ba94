"""The checks, pipelines and scores of ``river``."""

from __future__ import annotations

import warnings

import pytest

pytest.importorskip("river")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from river import base, checks, evaluate, metrics, preprocessing

from seriatim.online import OnlineClassifier, OnlineRegressor

pytestmark = pytest.mark.filterwarnings("default")  # warnings of river itself
KINDS = [OnlineClassifier, OnlineRegressor]
SLOW = {"check_bounded_memory_growth"}
"""It takes 2,000 steps per data set; ``test_estimators`` checks that a network does not grow."""


def estimator(kind):
    return kind(hidden=3, truncation=(4, 4))


def named():
    for kind in KINDS:
        counts = {}
        for check in checks.yield_checks(estimator(kind)):
            counts[check.__name__] = counts.get(check.__name__, -1) + 1
            if check.__name__ not in SLOW and counts[check.__name__] < 1:  # on the first set
                yield pytest.param(kind, check, id=f"{kind.__name__}-{check.__name__}")


@pytest.mark.parametrize(("kind", "check"), list(named()))
def test_river_checks(kind, check):
    check(estimator(kind).clone())


def test_instances_of_river_base_classes():
    assert isinstance(OnlineClassifier(), base.Classifier) and isinstance(OnlineRegressor(), base.Regressor)


@pytest.mark.parametrize("metric", [metrics.Accuracy(), metrics.LogLoss(), metrics.ROCAUC()])
def test_pipeline_is_scored_progressively(metric):
    stream = [({"a": float(number % 7), "b": 1.0}, number % 7 > 3) for number in range(120)]
    model = preprocessing.StandardScaler() | OnlineClassifier(hidden=4, truncation=4, lr=1e-2)
    score = evaluate.progressive_val_score(stream, model, metric)
    assert 0.5 < score.get() < 1.0
    assert model.predict_one({"a": 1.0, "b": 1.0}) in (True, False)


def test_regression_is_scored_progressively():
    stream = [({"a": float(number % 5)}, 2.0 * (number % 5)) for number in range(150)]
    model = preprocessing.MinMaxScaler() | OnlineRegressor(hidden=4, truncation=4, lr=1e-2)
    assert evaluate.progressive_val_score(stream, model, metrics.MAE()).get() < 2.4  # that of the mean


def test_clone_has_same_options_and_no_state():
    model = OnlineClassifier(hidden=5, truncation=(2, 3), seed=3)
    model.learn_one({"a": 1.0}, "x")
    clone = model.clone()
    assert clone.predict_proba_one({"a": 1.0}) == {} and (clone.hidden, clone.truncation, clone.seed) == (5, (2, 3), 3)
