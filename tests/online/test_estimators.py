"""Laws of learning on a live stream."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pandas
import pytest
import torch

from seriatim.errors import DataError, UsageError
from seriatim.models.options import CELLS
from seriatim.online import OnlineClassifier, OnlineRegressor

SMALL = {"hidden": 4, "truncation": (1, 3)}
LEARNERS = {"tbptt": (1, 3), "tbptt in chunks": 4, "tbptt thinned": (4, 2), "rtrl": 1, "snap1": 2, "uoro": 1}


def predict(model, x):
    return model.predict_proba_one(x) if isinstance(model, OnlineClassifier) else model.predict_one(x)


def run(model, stream):
    """Learn a stream; return the prediction of each step before it was learned."""
    actual = []
    for x, y in stream:
        actual.append(predict(model, x))
        model.learn_one(x, y)
    return actual


def test_predictions_before_first_step():
    assert OnlineClassifier().predict_proba_one({"a": 1.0}) == {}
    assert OnlineClassifier().predict_one({"a": 1.0}) is None
    assert OnlineRegressor().predict_one({"a": 1.0}) == 0.0


@pytest.mark.parametrize("learner", LEARNERS)
def test_predict_changes_nothing(kind, learner, rows):
    options = {"hidden": 4, "learner": learner.split()[0], "truncation": LEARNERS[learner]}
    plain, predicting = kind(**options), kind(**options)
    for x, y in rows(kind, 12):
        for _ in range(3):
            predict(predicting, {**x, "a": 99.0, "new": 1.0})
        assert predict(predicting, x) == predict(plain, x)
        plain.learn_one(x, y)
        predicting.learn_one(x, y)


def test_state_is_carried(kind, rows):
    """The prediction depends on earlier rows through the state, at a learning rate near zero."""
    first, other = kind(**SMALL, lr=1e-9), kind(**SMALL, lr=1e-9)
    stream = rows(kind, 20)
    for model in (first, other):
        run(model, stream)
        torch.nn.init.normal_(model._live.network.head.weight, generator=torch.Generator().manual_seed(1))
    assert predict(first, stream[0][0]) == predict(other, stream[0][0])
    other.learn_one(stream[3][0], stream[0][1])
    first.learn_one(stream[4][0], stream[0][1])
    assert predict(first, stream[0][0]) != predict(other, stream[0][0])


def test_loss_is_that_of_the_prediction(rows):
    """With an update per step through one step, the loss equals the loss of the prediction before it."""
    model = OnlineClassifier(hidden=4, truncation=1)
    for x, y in rows(OnlineClassifier, 30):
        chance = model.predict_proba_one(x).get(y)
        losses = []
        if model._live:
            step = model._live.learner.step
            model._live.learner = Watch(step, losses)
        model.learn_one(x, y)
        if losses and chance is not None:
            assert math.isclose(-math.log(chance), losses[0], rel_tol=1e-5, abs_tol=1e-6)


class Watch:
    """A learner that records its losses."""

    def __init__(self, step, losses):
        self._step, self._losses = step, losses

    def step(self, model, batch, carry):
        loss, carry = self._step(model, batch, carry)
        self._losses.append(float(loss))
        return loss, carry


@pytest.mark.parametrize("model", ["rnn", "gru"])
def test_learns_from_the_state(model):
    """The class is the sign of the number three steps ago."""
    draw = np.random.default_rng(0)
    values = draw.choice([-1.0, 1.0], 2000)
    learner = OnlineClassifier(model=model, hidden=16, truncation=(4, 8), lr=1e-2, feedback=False)
    right = []
    for step in range(3, len(values)):
        x, y = {"a": float(values[step])}, bool(values[step - 3] > 0)
        right.append(learner.predict_one(x) == y)
        learner.learn_one(x, y)
    assert np.mean(right[-300:]) > 0.95


def test_feedback_reads_last_target():
    """The class seldom changes, and the features carry no information."""
    score = {}
    for feedback in (True, False):
        model = OnlineClassifier(hidden=8, truncation=(1, 4), lr=1e-2, feedback=feedback)
        draw, y, right = np.random.default_rng(0), 0, []
        for _ in range(300):
            y = y if draw.random() < 0.95 else 1 - y
            right.append(model.predict_one({"still": 1.0}) == y)
            model.learn_one({"still": 1.0}, y)
        score[feedback] = np.mean(right[-150:])
    assert score[True] > 0.9 > score[False]


@pytest.mark.parametrize("learner", LEARNERS)
def test_features_and_classes_may_appear_and_vanish(learner):
    model = OnlineClassifier(hidden=4, learner=learner.split()[0], truncation=LEARNERS[learner])
    steps = [({"a": 1.0}, 1), ({"a": 2.0, "b": 3.0}, 1), ({}, "two"), ({"c": 1.0}, True), ({"b": 1.0, "d": 2.0}, "two")]
    for x, y in steps * 3:
        model.learn_one(x, y)
        chances = model.predict_proba_one(x)
        assert y in chances and math.isclose(sum(chances.values()), 1.0)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell in ("rnn", "lstm", "gru", "mingru")])
@pytest.mark.parametrize("learner", ["rtrl", "snap1"])
def test_influence_survives_a_new_feature(cell, learner, rows):
    """A constant feature carries no information, so it does not matter when it appears."""
    late, early = (OnlineRegressor(model=cell, hidden=3, learner=learner) for _ in range(2))
    stream = rows(OnlineRegressor, 8)
    run(late, stream[:4])
    run(early, stream[:4])
    early._add_slots([("x", "still")])
    with torch.no_grad():
        for x, y in stream[4:6]:
            late.learn_one(x, y)
            early.learn_one(x, y)
    late._add_slots([("x", "still")])
    for x, y in stream[6:]:
        assert math.isclose(late.predict_one(x), early.predict_one(x), rel_tol=1e-5)
        late.learn_one(x, y)
        early.learn_one(x, y)


def test_order_of_features_changes_nothing(kind, rows):
    model, second = kind(**SMALL), kind(**SMALL)
    for x, y in rows(kind, 10):
        turned = dict(reversed(x.items()))
        assert predict(model, x) == predict(second, turned)
        model.learn_one(x, y)
        second.learn_one(turned, y)


def test_scale_and_shift_of_numbers_change_nothing(rows):
    plain, moved = OnlineRegressor(**SMALL), OnlineRegressor(**SMALL)
    for number, (x, y) in enumerate(rows(OnlineRegressor, 20)):
        far = {name: 1e4 + 50 * value for name, value in x.items()}
        back = (moved.predict_one(far) + 300) / 7
        assert not number or math.isclose(plain.predict_one(x), back, rel_tol=1e-3, abs_tol=1e-3)
        plain.learn_one(x, y)
        moved.learn_one(far, 7 * y - 300)


def test_other_random_draws_change_nothing(rows):
    quiet, noisy = (OnlineRegressor(hidden=4, learner="uoro") for _ in range(2))
    for x, y in rows(OnlineRegressor, 8):
        torch.rand(3)
        noisy.learn_one(x, y)
    state = torch.get_rng_state()
    run(quiet, rows(OnlineRegressor, 8))
    assert torch.equal(torch.get_rng_state(), state)
    x = rows(OnlineRegressor, 9)[-1][0]
    assert quiet.predict_one(x) == noisy.predict_one(x)


def test_missing_numbers_equal_missing_features(kind, rows):
    model, second = kind(**SMALL), kind(**SMALL)
    for number, (x, y) in enumerate(rows(kind, 10)):
        present = {name: value for name, value in x.items() if name != "b" or number % 2}
        model.learn_one(present, y)
        missing = (None, float("nan"), np.ma.masked, pandas.NA)[number // 2 % 4]
        second.learn_one({"b": missing, **present}, y)
        assert predict(model, x) == predict(second, x)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ({"a": "red"}, 1.0, "feature 'a' is 'red', wanted a number"),
        ({"a": math.inf}, 1.0, "feature 'a' is inf, wanted a finite number"),
        ({"a": 1.0}, math.nan, "the target is missing, wanted a number"),
        ({"a": 1.0}, np.ma.masked, "the target is missing, wanted a number"),
        ({"a": 1.0}, "high", "the target is 'high', wanted a number"),
        ({"a": 1.0}, -math.inf, "the target is -inf, wanted a finite number"),
    ],
)
def test_invalid_number_is_refused_and_changes_nothing(x, y, message, rows):
    model = OnlineRegressor(**SMALL)
    run(model, rows(OnlineRegressor, 5))
    original = model.predict_one({"a": 1.0}), dict(model._slots)
    with pytest.raises(DataError, match=message):
        model.learn_one(x, y)
    assert original == (model.predict_one({"a": 1.0}), model._slots)


def test_invalid_class_is_refused():
    with pytest.raises(DataError, match=r"the class is \('a',\), wanted a string"):
        OnlineClassifier().learn_one({"a": 1.0}, ("a",))
    for missing in (None, np.ma.masked, pandas.NA):
        with pytest.raises(DataError, match="the class is missing, wanted a string"):
            OnlineClassifier().learn_one({"a": 1.0}, missing)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "transformer"}, "model: got 'transformer', wanted one that carries a state"),
        ({"learner": "bptt"}, "learner: got 'bptt', wanted one for streams without an end"),
        ({"learner": "rtrl", "truncation": (1, 5)}, "truncation: k2 is for tbptt, not rtrl"),
        ({"hidden": 0}, "hidden"),
        ({"optimizer": "adm"}, "optimizer"),
        ({"lr": -1.0}, "lr"),
    ],
)
def test_invalid_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        OnlineClassifier(**options)


def test_memory_does_not_grow_with_the_stream(kind, rows):
    model = kind(hidden=4, truncation=(2, 4))
    sizes = []
    for number, (x, y) in enumerate(rows(kind, 60)):
        model.learn_one(x, y)
        if number in (29, 59):
            sizes.append({name: tensor.shape for name, tensor in model._live.tensors().items()})
    assert sizes[0] == sizes[1]


def test_import_loads_neither_river_nor_torch():
    code = "import sys, seriatim.online; sys.exit('river' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_works_without_river():
    code = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "river" else find(name, *rest)
from seriatim.online import OnlineClassifier
model = OnlineClassifier(hidden=4)
model.learn_one({"a": 1.0}, "x")
assert model.predict_one({"a": 1.0}) == "x" and "river" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
