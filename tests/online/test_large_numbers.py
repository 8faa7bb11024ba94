"""Very large numbers on a stream: they are refused, or limited and soon forgotten."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from seriatim.errors import DataError
from seriatim.online import OnlineClassifier, OnlineRegressor


def predict(model, x):
    return model.predict_proba_one(x) if isinstance(model, OnlineClassifier) else model.predict_one(x)


def learn(model, stream):
    for x, y in stream:
        model.learn_one(x, y)
    return model


def small(kind, **options):
    return kind(hidden=4, truncation=(1, 4), lr=1e-2, **options)


@pytest.mark.parametrize("number", [1e200, -1e300, 10**400, np.float64(2e100)])
@pytest.mark.parametrize(
    ("kind", "where"), [(OnlineClassifier, "feature"), (OnlineRegressor, "feature"), (OnlineRegressor, "target")]
)
def test_number_that_cannot_be_learned_from_is_refused(kind, where, number, rows, tmp_path):
    stream = rows(kind, 20)
    model = learn(small(kind), stream)
    model.save(tmp_path / "before")
    x, y = stream[0]
    with pytest.raises(
        DataError, match=r"(feature 'a'|the target) is .*, wanted a (finite number|number within ±1e\+100)"
    ):
        model.learn_one({**x, "a": number, "new": 1.0} if where == "feature" else x, number if where == "target" else y)
    model.save(tmp_path / "after")
    assert (tmp_path / "before").read_bytes() == (tmp_path / "after").read_bytes()


def test_feature_that_is_not_standardized_has_a_smaller_limit(kind, rows):
    model = learn(small(kind, standardize=False), rows(kind, 5))
    x, y = rows(kind, 1)[0]
    with pytest.raises(DataError, match=r"feature 'a' is 1e\+20, wanted a number within ±1e\+18"):
        model.learn_one({**x, "a": 1e20}, y)
    with pytest.raises(DataError, match="feature 'a'"):
        predict(model, {**x, "a": 1e20})


@pytest.mark.parametrize(("at", "steps"), [(0, 40), (1, 40), (2, 40), (60, 260)])
@pytest.mark.parametrize("number", [1e20, -1e99])
def test_large_feature_is_forgotten(kind, at, steps, number, rows, tmp_path):
    """After two more blocks, the features are scaled as on a stream without it."""
    stream = rows(kind, steps)
    clean = learn(small(kind), stream)
    stream[at] = {**stream[at][0], "a": number}, stream[at][1]
    model = learn(small(kind), stream)
    for value in (2.0, 5.0, 8.0):
        ours, theirs = model._scaler.standard("a", value), clean._scaler.standard("a", value)
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)
    model.save(tmp_path / "model")
    assert predict(kind.load(tmp_path / "model"), stream[0][0]) == predict(model, stream[0][0])


@pytest.mark.parametrize("at", [0, 2, 60])
@pytest.mark.parametrize("number", [1e20, -1e99])
def test_large_target_is_forgotten(at, number, rows, tmp_path):
    """Every prediction is finite, and the last 40 are about as good as on a stream without it."""
    stream = rows(OnlineRegressor, 300)
    other = copy.deepcopy(stream)
    other[at] = stream[at][0], number
    errors = {}
    for name, rows_of in (("clean", stream), ("large", other)):
        model, predictions = small(OnlineRegressor), []
        for x, y in rows_of:
            predictions.append(model.predict_one(x))
            model.learn_one(x, y)
        assert all(map(math.isfinite, predictions))
        last = [abs(p - y) for p, (_, y) in zip(predictions[-40:], rows_of[-40:], strict=True)]
        errors[name] = np.mean(last)
    model.save(tmp_path / "model")
    assert errors["large"] < 1.3 * errors["clean"], errors


def test_prediction_for_a_large_feature_is_finite(kind, rows):
    model = learn(small(kind), rows(kind, 30))
    prediction = predict(model, {"a": 1e20, "b": 1.0, "c": -1e99})
    values = prediction.values() if isinstance(prediction, dict) else [prediction]
    assert all(map(math.isfinite, values))
