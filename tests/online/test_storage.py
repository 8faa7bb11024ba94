"""A stream that was saved in the middle continues like one that was not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim.errors import RunError, UsageError
from seriatim.online import OnlineClassifier, OnlineRegressor
from seriatim.storage import read_arrays_and_note, write_arrays

WAYS = {
    "tbptt": {"truncation": (1, 3)},
    "chunks": {"truncation": (4, 6), "model": "lstm", "optimizer": "sgd"},
    "rtrl": {"learner": "rtrl"},
    "snap1": {"learner": "snap1", "truncation": 2, "layers": 1},
    "uoro": {"learner": "uoro", "feedback": False, "standardize": False, "model": "rnn"},
}


def predict(model, x):
    return model.predict_proba_one(x) if isinstance(model, OnlineClassifier) else model.predict_one(x)


@pytest.mark.parametrize("way", WAYS)
def test_loaded_estimator_continues_bit_for_bit(kind, way, rows, tmp_path):
    """Saved in the middle of a segment, before a new feature and before random draws."""
    model, stream = kind(hidden=3, **WAYS[way]), rows(kind, 12)
    for x, y in stream[:6]:
        model.learn_one(x, y)
    model.save(tmp_path / "one")
    other = kind.load(tmp_path / "one")
    for x, y in stream[6:]:
        assert predict(other, x) == predict(model, x)
        model.learn_one({**x, "late": 1.0}, y)
        other.learn_one({**x, "late": 1.0}, y)
    ours, theirs = model._live.tensors(), other._live.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    model.save(tmp_path / "first")
    other.save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_estimator_without_steps_is_saved(kind, rows, tmp_path):
    kind(hidden=5, truncation=(2, 4)).save(tmp_path / "one")
    model, fresh = kind.load(tmp_path / "one"), kind(hidden=5, truncation=(2, 4))
    assert model.truncation == (2, 4)
    for x, y in rows(kind, 3):
        assert predict(model, x) == predict(fresh, x)
        model.learn_one(x, y)
        fresh.learn_one(x, y)


def test_types_of_classes_and_features_are_kept(tmp_path):
    model = OnlineClassifier(hidden=2)
    for label in ("yes", 3, True):
        model.learn_one({"a": 1, 7: 2.0}, label)
    model.save(tmp_path / "one")
    labels = list(OnlineClassifier.load(tmp_path / "one").predict_proba_one({"a": 1}))
    assert labels == ["yes", 3, True] and [type(label) for label in labels] == [str, int, bool]


def test_name_that_json_cannot_store_is_refused(tmp_path):
    model = OnlineRegressor(hidden=2)
    model.learn_one({("a", "b"): 1.0}, 1.0)
    with pytest.raises(UsageError, match=r"save: a feature is called \('a', 'b'\), wanted a string or a number"):
        model.save(tmp_path / "one")
    assert not list(tmp_path.iterdir())


def test_other_file_is_refused(tmp_path):
    OnlineRegressor().save(tmp_path / "one")
    with pytest.raises(RunError, match="OnlineRegressor, not OnlineClassifier"):
        OnlineClassifier.load(tmp_path / "one")
    with pytest.raises(RunError, match="not there"):
        OnlineClassifier.load(tmp_path / "none")
    write_arrays(tmp_path / "other", {"a": np.zeros(1)})
    with pytest.raises(RunError, match="not an online estimator"):
        OnlineClassifier.load(tmp_path / "other")
    (tmp_path / "cut").write_bytes((tmp_path / "one").read_bytes()[:40])
    with pytest.raises(RunError, match="damaged"):
        OnlineRegressor.load(tmp_path / "cut")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 2', '"format": 9', "format 9, but this version reads up to 2"),
        ('"hidden": 2', '"hidden": 3', "damaged"),
        ('"slots"', '"slits"', "damaged"),
        ('"fresh": 0', '"fresh": "x"', "damaged"),
    ],
)
def test_damaged_file_is_refused(tmp_path, old, new, message):
    model = OnlineRegressor(hidden=2)
    model.learn_one({"a": 1.0}, 1.0)
    model.save(tmp_path / "one")
    arrays, note = read_arrays_and_note(tmp_path / "one")
    assert old in note["online"]
    write_arrays(tmp_path / "one", arrays, {"online": note["online"].replace(old, new)})
    with pytest.raises(RunError, match=message):
        OnlineRegressor.load(tmp_path / "one")
