"""Estimators in scikit-learn's tools: pipelines, searches, cross-validation, calibration, reports, copies, pickles."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import classification_report
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import seriatim
from seriatim.errors import ArgumentError, UsageError
from seriatim.estimators import SeriatimClassifier, SeriatimForecaster, SeriatimRegressor

TINY: Any = {"model": "gru", "hidden": 8, "epochs": 2, "lr": 0.02}


def ragged(count: int = 36, channels: int = 1) -> tuple[list[Any], list[str]]:
    """Sequences of 3 to 8 steps that rise or fall, with labels."""
    draw = np.random.default_rng(0)
    arrays, labels = [], []
    for number in range(count):
        slope = 1 if number % 2 else -1
        steps = np.arange(3 + number % 6)[:, None] * slope + draw.normal(0, 0.1, (3 + number % 6, channels))
        arrays.append(steps if channels > 1 else steps[:, 0])
        labels.append("up" if slope > 0 else "down")
    return arrays, labels


def table(count: int = 24) -> pandas.DataFrame:
    """The steps of sequences that rise or fall, a row for each step; the sequences are interleaved."""
    arrays, labels = ragged(count)
    rows = [
        (step, f"s{number}", value, labels[number], float(len(values)))
        for number, values in enumerate(arrays)
        for step, value in enumerate(values)
    ]
    frame = pandas.DataFrame(sorted(rows), columns=["step", "id", "a", "label", "length"])
    return frame.sort_values(["step", "id"], ignore_index=True)


def test_lists_of_different_length_in_grid_search() -> None:
    sequences, labels = ragged()
    search = GridSearchCV(SeriatimClassifier(**{**TINY, "epochs": 15}), {"hidden": [4, 8], "zoneout": [0.0, 0.1]}, cv=2)
    search.fit(sequences, labels)
    assert search.best_score_ > 0.9 and search.predict(sequences[:2]).tolist() == ["down", "up"]


@pytest.mark.parametrize("form", ["2-D", "3-D", "list of lists", "objects", "channels", "texts", "series of texts"])
def test_forms_of_sequences(form: str) -> None:
    sequences, labels = ragged()
    texts = [" ".join(f"w{round(abs(value))}" for value in np.ravel(values)) for values in sequences]
    equal = np.stack([np.resize(values, 5) for values in sequences])
    objects = np.empty(len(sequences), object)
    objects[:] = sequences
    X: Any = {
        "2-D": equal,
        "3-D": equal[..., None],
        "list of lists": [values.tolist() for values in sequences],
        "objects": objects,
        "channels": ragged(channels=2)[0],
        "texts": texts,
        "series of texts": pandas.Series(texts, index=range(100, 100 + len(texts))),
    }[form]
    scores = cross_val_score(SeriatimClassifier(**TINY), X, labels, cv=2, error_score="raise")
    assert scores.shape == (2,) and np.isfinite(scores).all()


def test_frame_with_ids_has_a_sample_for_each_row() -> None:
    frame = table()
    estimator = SeriatimClassifier(**{**TINY, "epochs": 20}, channels=("a",), id="id", time="step")
    scores = cross_val_score(
        estimator, frame, frame["label"], groups=frame["id"], cv=GroupKFold(2), error_score="raise"
    )
    assert scores.shape == (2,) and (scores > 0.9).all()
    predicted = estimator.fit(frame, frame["label"]).predict(frame)
    assert (predicted == frame["label"]).mean() > 0.9
    assert estimator.predict_proba(frame[frame["id"] == "s5"]).shape == (8, 2)


def test_regressor_of_each_step() -> None:
    frame = table().sort_values(["id", "step"], ignore_index=True)
    estimator = SeriatimRegressor(**TINY, channels=("a",), id="id", every_step=True)
    assert estimator.fit(frame, frame["step"]).predict(frame).shape == (len(frame),)
    with pytest.raises(ArgumentError, match="rows of an id are not together in column 'id'"):
        estimator.predict(frame.sort_values("step"))
    of_sequences = SeriatimRegressor(**TINY, channels=("a",), id="id").fit(frame, frame["length"])
    assert np.ptp(of_sequences.predict(frame)[frame["id"] == "s5"]) == 0


def test_pipeline_and_report() -> None:
    arrays, labels = ragged()
    equal = np.stack([np.resize(values, 4) for values in arrays])
    pipeline = Pipeline([("scale", StandardScaler()), ("model", SeriatimClassifier(**TINY))])
    report = classification_report(labels, pipeline.fit(equal, labels).predict(equal), zero_division=0)
    assert "down" in report and "macro avg" in report
    texts = Pipeline([("lower", FunctionTransformer(lambda X: [text.lower() for text in X])), ("model", pipeline[-1])])
    assert set(texts.fit(["The SUN", "the SEA"] * 18, labels).predict(["THE sun"])) <= {"up", "down"}


def test_calibration_of_sequences_of_different_length() -> None:
    sequences, labels = ragged()
    calibrated = CalibratedClassifierCV(SeriatimClassifier(**TINY), cv=2).fit(sequences, labels)
    chances = calibrated.predict_proba(sequences)
    assert chances.shape == (36, 2) and np.allclose(chances.sum(1), 1)


def test_forecaster_in_grid_search() -> None:
    waves = [np.sin(np.arange(40 + 5 * number) / 3 + number) for number in range(6)]
    forecaster = SeriatimForecaster(model="gru", hidden=4, epochs=1, horizon=4, lookback=8)
    search = GridSearchCV(forecaster, {"hidden": [2, 4]}, cv=2, error_score="raise").fit(waves)
    assert search.predict(waves).shape == (6, 4) and search.best_score_ < 0
    futures = [wave[-4:] for wave in waves]
    shorter = [wave[:-4] for wave in waves]
    fitted = clone(forecaster).fit(shorter, futures)
    assert fitted.score(shorter, futures) == fitted.score(waves)
    assert np.array_equal(fitted.predict(waves), clone(forecaster).fit(waves).predict(waves))
    assert fitted.predict(np.stack([wave[:40] for wave in waves])).shape == (6, 4)
    both = clone(forecaster).fit(np.stack([np.stack([wave[:40], -wave[:40]], 1) for wave in waves]))
    assert both.predict_quantiles(np.ones((2, 12, 2))).shape == (2, 4, 2, 3)


def test_new_series_are_not_taken_for_those_of_the_training() -> None:
    waves = [np.sin(np.arange(60) / 3 + number) for number in range(3)]
    forecaster = SeriatimForecaster(model="naive", horizon=2).fit(waves)
    table, _ = forecaster._table(waves, None, reset=False)
    assert set(table["series"]).isdisjoint(forecaster.run_.codec.scalers)
    assert np.allclose(forecaster.predict([1000 + waves[0]]), 1000 + waves[0][-1])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda fitted: pickle.loads(pickle.dumps(fitted))])
def test_copies_predict_the_same(copied: Callable[[Any], Any], tmp_path: Path) -> None:
    sequences, labels = ragged()
    fitted = SeriatimClassifier(**TINY).fit(sequences, labels)
    other = copied(fitted)
    expected = fitted.predict_proba(sequences)
    folder = fitted.run_.path
    del fitted
    assert not folder.exists(), "the folder of a forgotten estimator is left"
    assert np.array_equal(other.predict_proba(sequences), expected)


def test_saved_run_is_an_ordinary_one(tmp_path: Path) -> None:
    sequences, labels = ragged()
    fitted = SeriatimClassifier(**TINY).fit(sequences, labels)
    run = fitted.save(tmp_path / "run")
    assert seriatim.load(tmp_path / "run").result["scores"] == fitted.run_.result["scores"]
    opened = SeriatimClassifier.from_run(run)
    assert np.array_equal(opened.predict_proba(sequences), fitted.predict_proba(sequences))
    assert opened.get_params()["hidden"] == 8 and list(opened.classes_) == ["down", "up"]
    with pytest.raises(UsageError, match="is not empty"):
        fitted.save(tmp_path)
    with pytest.raises(UsageError, match=r"is a classify run, and SeriatimRegressor is for regress"):
        SeriatimRegressor.from_run(run)


def test_subset_has_equal_predictions() -> None:
    sequences, labels = ragged()
    fitted = SeriatimClassifier(**TINY).fit(sequences, labels)
    single = np.concatenate([fitted.predict_proba([sequence]) for sequence in sequences[:5]])
    assert np.allclose(fitted.predict_proba(sequences)[:5], single, rtol=1e-5)


def test_classes_keep_their_type_and_order() -> None:
    sequences, _ = ragged()
    classes = np.array([10.0, -2.0, 3.0])
    fitted = SeriatimClassifier(**TINY).fit(sequences, np.resize(classes, 36))
    assert fitted.classes_.tolist() == [-2.0, 3.0, 10.0]
    chances = fitted.predict_proba(sequences)
    assert np.array_equal(fitted.predict(sequences), fitted.classes_[chances.argmax(1)])
    names = fitted.run_.codec.labels.names
    (row,) = list(fitted.run_.predict(sequences[:1]))
    assert dict(zip(names, row["probabilities"].values(), strict=True))["10"] == pytest.approx(chances[0, 2], rel=1e-5)


def test_random_state_is_the_seed() -> None:
    sequences, labels = ragged()
    scores = [
        SeriatimClassifier(**TINY, random_state=state).fit(sequences, labels).predict_proba(sequences[:1])[0, 0]
        for state in (None, 0, 1, np.random.RandomState(5), np.random.RandomState(5))
    ]
    assert scores[0] == scores[1] != scores[2] and scores[3] == scores[4] != scores[0]


def test_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"no parameter 'hiden' \(did you mean 'hidden'\?\)"):
        SeriatimClassifier(hiden=3)
    with pytest.raises(ArgumentError, match="no parameter 'label'"):
        SeriatimClassifier(label="y")


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([np.ones(3)] * 4, ["a", "b", "a"], "inconsistent numbers of samples"),
        ([np.ones(3)] * 4, ["a"] * 4, "a single class 'a'"),
        ([np.ones(3)] * 2, ["a", "b"], "2 sequences, wanted at least 3"),
        ([np.ones(3)] * 4, None, "requires y to be passed"),
    ],
)
def test_wrong_data(X: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SeriatimClassifier(**TINY).fit(X, y)
