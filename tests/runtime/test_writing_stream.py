"""Streams of models that write a text for each input: the source first, then the units that were written."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_data import CASES
from seriatim import runtime
from seriatim.errors import DataError, UsageError
from seriatim.notation import UNKNOWN

NAMES = (
    "translate", "translate-dot", "translate-none", "translate-concat", "translate-transformer", "translate-sinusoidal",
    "caption", "caption-peeky", "caption-features",
)  # fmt: skip


def source_of(name):
    return "the sea and dog are sun" if name.startswith("translate") else CASES[name][1][0][0]


def greedy(stream, source, limit):
    """Write the most probable unit at each step; return the units."""
    units, scores = [], stream.step(source).copy()
    boundary = len(scores) - 1
    while len(units) < limit:
        scores[UNKNOWN] = -np.inf
        unit = int(scores.argmax())
        if unit == boundary:
            break
        units.append(unit)
        scores = stream.step(unit).copy()
    return units


@pytest.mark.parametrize("name", NAMES)
def test_greedy_units_are_the_text_of_the_model(task_pair, name):
    _, model = task_pair(name)
    units = greedy(model.stream(), source_of(name), min(12, model.max_length))
    text = model.script.decode(units)
    if name.startswith("translate"):
        assert "".join(model.generate(source_of(name), temperature=0.0, length=12)) == text
        return
    state = model.decoder.begin(model.memory([model._checked("x", source_of(name))]))
    expected, token = [], model.decoder.boundary
    for _ in range(min(12, model.max_length)):
        scores, state, _ = model.decoder.step(np.array([token]), state)
        scores[0, UNKNOWN] = -np.inf
        token = int(scores[0].argmax())
        if token == model.decoder.boundary:
            break
        expected.append(token)
    assert units == expected


@pytest.mark.parametrize("name", NAMES)
def test_snapshot_decides_the_future(task_pair, name):
    _, model = task_pair(name)
    stream = model.stream()
    assert stream.snapshot() == model.stream().snapshot()
    stream.step(source_of(name))
    stream.step(1)
    saved, fork = stream.snapshot(), stream.fork()
    expected = [stream.step(unit) for unit in (2, 1, 3)]
    other = runtime.load(model.path).stream()
    other.restore(saved)
    assert other.position == 2
    for again in (fork, other):
        assert all(np.array_equal(again.step(unit), row) for unit, row in zip((2, 1, 3), expected, strict=True))
    other.reset()
    assert other.position == 0 and other.snapshot() == model.stream().snapshot()


@pytest.mark.parametrize("name", ["translate", "translate-transformer", "caption-features"])
def test_stream_among_others_is_bit_equal_to_itself_alone(task_pair, name):
    _, model = task_pair(name)
    streams, alone = [model.stream() for _ in range(3)], model.stream()
    other = "cat" if name.startswith("translate") else source_of(name)[:2]
    for inputs in ([other, source_of(name), other], [1, 2, 3], [3, 1, 2]):
        assert np.array_equal(model.step_many(streams, inputs)[1], alone.step(inputs[1]))


@pytest.mark.parametrize("name", ["translate", "translate-transformer", "caption"])
def test_damaged_snapshots_are_refused(task_pair, name):
    _, model = task_pair(name)
    stream = model.stream()
    stream.step(source_of(name))
    stream.step(1)
    first = next(iter(stream.state.arrays))
    for change in (
        lambda state: state.arrays.pop(first),
        lambda state: state.arrays.update(more=np.zeros(1)),
        lambda state: state.arrays.update({first: state.arrays[first].astype(np.float64)}),
        lambda state: state.arrays.update({first: np.zeros((1, 2, 3, 4), state.arrays[first].dtype)}),
        lambda state: state.arrays.update({key: value[:0] for key, value in state.arrays.items()}),
        lambda state: setattr(state, "position", 0),
        lambda state: state.values.update(x=1),
    ):
        damaged = stream.fork()
        change(damaged.state)
        with pytest.raises(DataError, match="snapshot: damaged"):
            stream.restore(damaged.snapshot())
    if name == "translate":
        damaged = stream.fork()
        damaged.state.arrays["lengths"] = np.array([99])
        with pytest.raises(DataError, match="'lengths'"):
            stream.restore(damaged.snapshot())


def test_wrong_inputs_change_nothing(task_pair):
    _, model = task_pair("translate")
    stream = model.stream()
    for x in (3, "", "  ", None):
        with pytest.raises(DataError, match="wanted the text to translate, which the first step reads"):
            stream.step(x)
    stream.step("the sea")
    saved = stream.snapshot()
    for x in (-1, 10**6, True, None, ""):
        with pytest.raises(DataError, match="wanted a text that is not empty, or the number of a unit"):
            stream.step(x)
    assert stream.snapshot() == saved
    with pytest.raises(DataError, match=r"x: got shape \(3,\)"):
        task_pair("caption")[1].stream().step([1, 2, 3])


def test_text_is_read_unit_by_unit(task_pair):
    _, model = task_pair("translate")
    first, second = model.stream(), model.stream()
    for stream in (first, second):
        stream.step("the sea")
    text = model.script.decode([2, 3])
    answers = [first.step(unit) for unit in model.script.encode(text).tolist()]
    assert np.array_equal(second.step(text), answers[-1])


def test_naive_models_have_no_stream(task_pair):
    for name in ("translate-copy", "caption-common"):
        with pytest.raises(UsageError, match="cannot read a stream"):
            task_pair(name)[1].stream()
