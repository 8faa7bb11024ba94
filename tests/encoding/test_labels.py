"""Tests of class labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from seriatim.encoding.labels import Labels


def test_integer_labels_are_sorted_by_number() -> None:
    assert Labels.fit(["10", "9", "-1", "9"]).names == ["-1", "9", "10"]


def test_text_labels_are_sorted_alphabetically() -> None:
    assert Labels.fit(["b", "10", "9", "a"]).names == ["10", "9", "a", "b"]


def test_labels_round_trip() -> None:
    labels = Labels.fit(["spam", "ham"])
    indices = labels.encode(["spam", "ham", "spam"])
    assert indices.dtype == np.int64 and indices.tolist() == [1, 0, 1]
    assert labels.decode(indices) == ["spam", "ham", "spam"] and len(labels) == 2


def test_unknown_label_error_has_position() -> None:
    with pytest.raises(ValueError) as caught:
        Labels(["a", "b"]).encode(["a", "b", "x", "y"])
    assert caught.value.args == (2, "x")


def test_json() -> None:
    labels = Labels.fit(["b", "a"])
    assert Labels.from_json(json.loads(json.dumps(labels.to_json()))).names == ["a", "b"]


@pytest.mark.parametrize("stored", [{}, [], {"labels": []}, {"labels": ["a", "a"]}, {"labels": "ab"}, {"labels": [1]}])
def test_damaged_json_is_refused(stored: object) -> None:
    with pytest.raises(ValueError):
        Labels.from_json(stored)  # type: ignore[arg-type]


def test_labels_of_older_runs_are_found_by_their_plain_names() -> None:
    assert Labels(["False", "True"]).encode(["true", "false", "True"]).tolist() == [1, 0, 1]
    assert Labels(["7.0", "8.0"]).encode(["8", "7.0"]).tolist() == [1, 0]
    assert Labels(["1", "1.0"]).encode(["1.0", "1"]).tolist() == [1, 0]
    with pytest.raises(ValueError, match="07"):
        Labels(["7"]).encode(["07"])


def test_fitted_labels_have_plain_names() -> None:
    labels = Labels.fit(["0.0", "1.0", "0"])
    assert labels.names == ["0", "1"] and labels.encode(["0.0", "0", "1"]).tolist() == [0, 0, 1]
    assert "1.0" in labels and "2" not in labels
    assert Labels.fit(["True", "false", "007", "1.00"]).names == ["007", "1.00", "false", "true"]
