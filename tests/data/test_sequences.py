"""Labelled sequences from tables, archives and memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest

from seriatim.data.sequence_collection import Sequences
from seriatim.data.sequences import read_sequences
from seriatim.encoding.scaler import Standardizer
from seriatim.errors import DataError, SeriatimError, UsageError
from seriatim.tasks.common.sequence_inputs import InputCodec

STEPS = [
    {"id": 7, "t": 2, "a": 3.0, "b": 4, "y": "up", "g": "x"},
    {"id": 5, "t": 1, "a": 5.0, "b": 6, "y": "down", "g": "x"},
    {"id": 7, "t": 1, "a": 1.0, "b": 2, "y": "up", "g": "x"},
]
NUMERIC: dict[str, Any] = {"channels": ["a", "b"], "id": "id", "label": "y"}


def changed(row: int, **cells: object) -> list[dict[str, object]]:
    return [step | cells if number == row else step for number, step in enumerate(STEPS)]


def test_texts(tmp_path: Path) -> None:
    file = tmp_path / "sms.tsv"
    file.write_text('label\ttext\tby\n1\thi "there\tme\n0\t안녕\tyou\n1\thi "there\tme\n')
    result = read_sequences(file, text="text", label="label", group="by")
    assert result.inputs == ['hi "there', "안녕", 'hi "there'] and result.labels == ["1", "0", "1"]
    assert result.groups == ["me", "you", "me"] and result.channels is None and len(result) == 3
    assert result.locations[1] == f"{file} line 3"
    fewer, dropped = result.without_duplicates()
    assert dropped == 1 and fewer.inputs == result.inputs[:2] and fewer.locations == result.locations[:2]
    selected = result.take(np.array([2, 0]))
    assert selected.locations == [result.locations[2], result.locations[0]] and selected.labels == ["1", "1"]


def test_steps_are_in_order_of_rows_or_time() -> None:
    plain = read_sequences(STEPS, **NUMERIC)
    assert [steps.tolist() for steps in plain.inputs if not isinstance(steps, str)] == [[[3, 4], [1, 2]], [[5, 6]]]
    timed = read_sequences(STEPS, **NUMERIC, time="t", group="g")
    assert timed.inputs[0].tolist() == [[1, 2], [3, 4]]  # type: ignore[union-attr]
    assert timed.inputs[0].dtype == np.float64 and timed.channels == 2  # type: ignore[union-attr]
    assert timed.labels == ["up", "down"] and timed.groups == ["x", "x"]
    assert timed.locations == ["list of dicts id '7' (row 1)", "list of dicts id '5' (row 2)"]


def test_row_without_id_is_sequence_of_one_step() -> None:
    result = read_sequences(STEPS, channels=["a", "b"], label="y", group="g")
    assert [steps.tolist() for steps in result.arrays] == [[[3, 4]], [[5, 6]], [[1, 2]]]
    assert result.labels == ["up", "down", "up"] and result.names is None
    assert result.locations[1] == "list of dicts row 2"


def test_targets_of_sequences_and_of_steps() -> None:
    rows = [step | {"n": 7.5 if step["id"] == 7 else 2} for step in STEPS]
    result = read_sequences(rows, channels=["a"], id="id", target="n")
    assert result.targets is not None and [targets.tolist() for targets in result.targets] == [[7.5], [2.0]]
    assert result.labels is None and result.names == ["7", "5"]
    assert result.take([1]).targets == [2.0] and result.take([1]).names == ["5"]
    timed = read_sequences(STEPS, channels=["b"], id="id", time="t", target="a", every_step=True)
    assert timed.targets is not None and [targets.tolist() for targets in timed.targets] == [[1, 3], [5]]
    with_gap = read_sequences(changed(0, a=None), channels=["b"], id="id", target="a", every_step=True)
    assert with_gap.targets is not None and np.isnan(with_gap.targets[0]).tolist() == [True, False]


def test_archive(tmp_path: Path) -> None:
    file = tmp_path / "x.ts"
    file.write_text("@classLabel true a b\n@data\n1,2:3,4:a\n5:6:b\n5:6:a\n")
    result = read_sequences(file)
    assert result.channels == 2 and result.labels == ["a", "b", "a"] and result.locations[1] == f"{file} case 2"
    assert result.without_duplicates()[1] == 1
    file.write_text("@classLabel true a b\n@data\n1,2:3,?:a\n")
    with pytest.raises(DataError, match=r"case 1: step 2, channel 2: missing value"):
        read_sequences(file)


@pytest.mark.parametrize(
    ("inputs", "shapes"),
    [
        ([np.zeros((2, 3)), np.zeros((5, 3))], [(2, 3), (5, 3)]),
        ([np.zeros(2), np.zeros(5)], [(2, 1), (5, 1)]),
        ([[1, 2], [3, 4, 5]], [(2, 1), (3, 1)]),
        (np.zeros((2, 4, 3)), [(4, 3)] * 2),
        (np.zeros((2, 4), dtype=int), [(4, 1)] * 2),
    ],
)
def test_arrays_in_memory(inputs: Any, shapes: list[tuple[int, int]]) -> None:
    result = read_sequences((inputs, [1, 0]))
    assert [steps.shape for steps in result.inputs if not isinstance(steps, str)] == shapes
    assert result.labels == ["1", "0"]
    bare = read_sequences(inputs, need_label=False)
    assert bare.labels is None and [steps.shape for steps in bare.inputs if not isinstance(steps, str)] == shapes
    with pytest.raises(DataError, match="no labels"):
        read_sequences(inputs)


@pytest.mark.parametrize("labels", [[1, 0], [1.0, 0.0], np.array([1, 0]), ["1", "0"], polars.Series([1, 0])])
def test_texts_and_labels_in_memory(labels: Any) -> None:
    result = read_sequences((["a b", "c"], labels))
    assert result.inputs == ["a b", "c"] and result.labels == ["1", "0"] and result.locations[1] == "data item 2"
    assert read_sequences(["a b"], text="text", label="label", need_label=False).inputs == ["a b"]
    assert read_sequences(np.array(["a b"]), need_label=False).inputs == ["a b"]


def test_labels_may_be_missing_when_predicting() -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": None}]
    assert read_sequences(rows, text="text", label="label", need_label=False).labels is None
    assert read_sequences(rows[:1], text="text", label="label", need_label=False).labels == ["x"]
    assert read_sequences([{"text": "a"}], text="text", label="label", need_label=False).labels is None
    with pytest.raises(DataError, match=r"row 2, column 'label': no label"):
        read_sequences(rows, text="text", label="label")


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        (STEPS, {}, UsageError, "name the column of the text"),
        (STEPS, {"text": "y", "channels": ["a"], "label": "y"}, UsageError, "not both"),
        (STEPS, {"text": "y"}, UsageError, "label: name the column"),
        (STEPS, {"text": "yy", "label": "y"}, UsageError, "no column 'yy'"),
        (STEPS, {"sound": "y", "channels": ["a"], "label": "y"}, UsageError, "sound and channels: give one of them"),
        (STEPS, {"text": "y", "target": ""}, UsageError, "target: name the column of the target"),
        (STEPS, NUMERIC | {"target": "y"}, DataError, "row 1, column 'y': 'up' is not a number"),
        (changed(1, t=None), NUMERIC | {"target": "t"}, DataError, "row 2, column 't': no target, 1 in all"),
        (changed(1, t=1e300), NUMERIC | {"target": "t"}, DataError, "row 2, column 't': too large"),
        (STEPS, NUMERIC | {"target": "t"}, DataError, "row 3, column 't': 1, but 2 before in the same sequence"),
        (STEPS, {"channels": ["y"], "id": "id", "label": "y"}, DataError, "row 1, column 'y': 'up' is not a number"),
        (changed(2, y="down"), NUMERIC, DataError, "row 3, column 'y': 'down', but 'up' before"),
        (changed(2, y=None), NUMERIC, DataError, "row 3, column 'y': no label"),
        (changed(2, g="z"), NUMERIC | {"group": "g"}, DataError, "row 3, column 'g': 'z', but 'x' before"),
        (changed(1, b=None), NUMERIC, DataError, "row 2, column 'b': missing value, 1 in all"),
        (changed(1, b=float("inf")), NUMERIC, DataError, "row 2, column 'b': 'inf' is not finite"),
        (changed(1, b=1e300), NUMERIC, DataError, "row 2, column 'b': too large"),
        ([{"text": " ", "y": 1}], {"text": "text", "label": "y"}, DataError, "row 1, column 'text': empty text"),
        ((["a", " "], [1, 2]), {}, DataError, "item 2: empty text"),
        ((["a"], [1, 2]), {}, DataError, "2 labels for 1 sequences"),
        ((["a", "b"], [1, None]), {}, DataError, "item 2: no label"),
        (([np.zeros((2, 2)), np.zeros((2, 3))], [1, 2]), {}, DataError, "item 2: 3 channels, wanted 2"),
        (([np.zeros((0, 2))], [1]), {}, DataError, "item 1: empty"),
        (([np.array([1.0, np.nan])], [1]), {}, DataError, "item 1: step 2, channel 1: missing value"),
        (([np.zeros((2, 2, 2))], [1]), {}, DataError, r"item 1: shape \(2, 2, 2\)"),
        ((["a", 5], [1, 2]), {}, DataError, "item 1: not an array of numbers"),
        ((5, [1]), {}, UsageError, "X is int"),
        (([], []), {}, DataError, "no sequences"),
        ((["a"], [1]), {"group": "g"}, UsageError, "group: only for tables"),
    ],
)
def test_bad_input_is_refused(
    source: object, options: dict[str, Any], error: type[SeriatimError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_sequences(source, **options)


def test_sequences_are_frozen() -> None:
    with pytest.raises(AttributeError):
        Sequences(["a"], None, None, ["x"]).labels = []  # type: ignore[misc]


def test_small_differences_of_large_numbers_are_kept() -> None:
    """Epoch seconds as a channel: float32 would make all steps equal, and the sequences duplicates."""
    rows = [
        {"id": number, "a": 1.6e9 + (step if number else 7 - step), "y": number}
        for number in (0, 1)
        for step in range(8)
    ]
    result = read_sequences(rows, channels=["a"], id="id", label="y")
    assert result.without_duplicates()[1] == 0
    codec = InputCodec(scaler=Standardizer.fit(np.concatenate(result.arrays)))
    falling, rising = codec.encode(result)
    assert falling.dtype == np.float32 and (np.diff(falling[:, 0]) < 0).all() and (np.diff(rising[:, 0]) > 0).all()


def test_lone_surrogates_are_refused_with_their_place() -> None:
    with pytest.raises(DataError, match=r"data item 2: \\ud83d is half of a character"):
        read_sequences((["a", "b\ud83d"], ["x", "y"]))
