"""Streams: a step is a value, a snapshot decides the future, and rows do not affect each other."""

from __future__ import annotations

import numpy as np
import pytest

from runtime_settings import SETTINGS
from seriatim import runtime
from seriatim.errors import DataError, UsageError
from seriatim.runtime import language
from seriatim.runtime.state import from_bytes, to_bytes

BODIES = [name for name in SETTINGS if name not in ("word", "bpe")]


def units_of(model, steps, rows):
    return np.random.default_rng(0).integers(0, len(model.vocabulary), (steps, rows)).tolist()


@pytest.mark.parametrize("name", SETTINGS)
def test_steps_give_the_log_probabilities_of_predict(language_pair, name):
    _, model = language_pair(name)
    line = "to be or not"
    stream, units = model.stream(), model.vocabulary.encode(line).tolist()
    scores = [model.next_scores([stream.state])[0], *(stream.step(unit) for unit in units)]
    total = sum(score[unit] for score, unit in zip(scores, units, strict=False))
    assert total == pytest.approx(next(model.predict([line]))["log_probability"], rel=1e-5)
    assert stream.position == len(units)


@pytest.mark.parametrize("name", BODIES)
def test_stream_among_64_is_bit_equal_to_itself_alone(language_pair, name):
    _, model = language_pair(name)
    streams = [model.stream() for _ in range(64)]
    if streams[0].state.carry:  # one neighbour is full of NaN
        streams[7].state.carry = tuple(np.full_like(part, np.nan) for part in streams[7].state.carry)
    alone = model.stream()
    for row in units_of(model, 4, 64):
        together = model.step_many(streams, row)
        assert np.array_equal(together[20], alone.step(row[20]))
    assert streams[20].snapshot() == alone.snapshot() or streams[20].state.values["sampler"]
    for mine, other in zip(alone.state.carry, streams[20].state.carry, strict=True):
        assert np.array_equal(mine, other)


@pytest.mark.parametrize("name", SETTINGS)
def test_snapshot_decides_the_future(language_pair, name):
    _, model = language_pair(name)
    stream = model.stream(seed=3)
    stream.step("to be")
    "".join(stream.write(5))
    snapshot = stream.snapshot()
    future = "".join(stream.write(30, repetition_penalty=1.2))
    other = runtime.load(model.path).stream(seed=99)
    other.restore(snapshot)
    assert "".join(other.write(30, repetition_penalty=1.2)) == future
    assert other.snapshot() == stream.snapshot()


def test_stream_that_is_restored_while_it_writes_writes_the_same_again(language_pair):
    stream = language_pair("lstm")[1].stream(seed=3)
    pieces = stream.write(100)
    next(pieces)
    snapshot = stream.snapshot()
    first = [next(pieces) for _ in range(20)]
    stream.restore(snapshot)
    assert [next(pieces) for _ in range(20)] == first


@pytest.mark.parametrize("name", ["lstm", "layer-norm", "lstm-blocks", "mingru"])
def test_input_parts_are_kept_up_to_a_limit_and_change_nothing(language_pair, name, monkeypatch):
    _, model = language_pair(name)
    model = runtime.load(model.path)
    text = "".join(model.generate(seed=1, length=60))
    part = model.body.input_part(model.embedding[:1])
    monkeypatch.setattr(language, "KEPT", 2 * (0 if part is None else part.nbytes))
    limited = runtime.load(model.path)
    assert "".join(limited.generate(seed=1, length=60)) == text
    assert len(limited._parts) == (0 if part is None else 2)
    assert part is None or np.array_equal(model._parts[0], part)


def test_snapshot_inside_a_character_keeps_its_bytes(language_pair):
    _, model = language_pair("bpe")
    units = model.vocabulary.encode("né").tolist()
    assert len(units) == 3
    whole, cut = model.stream(), model.stream()
    texts = [whole._read_drawn(unit, np.random.default_rng(0)) for unit in units]
    assert [text for text in texts if text] == ["n", "é"]
    for unit in units[:2]:
        cut._read_drawn(unit, np.random.default_rng(0))
    other = model.stream()
    other.restore(cut.snapshot())
    assert other._read_drawn(units[2], np.random.default_rng(0)) == "é"


def test_fork_and_reset(language_pair):
    _, model = language_pair("lstm")
    stream = model.stream(seed=1)
    first = stream.step("t")
    fork = stream.fork()
    assert np.array_equal(fork.step("o"), stream.step("o"))
    fork.step("x")
    assert fork.position == 3 and stream.position == 2
    stream.reset(seed=1)
    assert stream.position == 0 and np.array_equal(stream.step("t"), first)


def test_rewind_is_refused(language_pair):
    with pytest.raises(UsageError, match="rewind: a state does not contain the states before it"):
        language_pair("lstm")[1].stream().rewind(1)


def test_snapshot_of_another_model_is_refused(language_pair):
    (_, first), (_, second) = language_pair("lstm"), language_pair("mingru")
    stream = second.stream()
    before = stream.snapshot()
    with pytest.raises(UsageError, match="snapshot: of another model"):
        stream.restore(first.stream().snapshot())
    assert stream.snapshot() == before


def test_damaged_snapshots_are_refused(language_pair):
    _, model = language_pair("lstm")
    stream = model.stream()
    snapshot = stream.snapshot()
    for place in range(0, len(snapshot), 37):
        changed = bytearray(snapshot)
        changed[place] ^= 1
        with pytest.raises(DataError, match="snapshot: "):
            stream.restore(bytes(changed))
    for size in range(0, len(snapshot), 41):
        with pytest.raises(DataError, match="snapshot: "):
            stream.restore(snapshot[:size])
    with pytest.raises(UsageError, match="got str, wanted bytes"):
        stream.restore("text")
    newer = bytearray(snapshot)
    newer[8] = 2
    with pytest.raises(DataError, match="version 2, but this seriatim reads up to 1"):
        stream.restore(bytes(newer))


@pytest.mark.parametrize("name", BODIES)
def test_forged_snapshots_with_other_shapes_are_refused(language_pair, name):
    _, model = language_pair(name)
    stream = model.stream(seed=1)
    stream.step("t")
    state = from_bytes(stream.snapshot(), model.hash)
    forged = [{"recent": [10**9]}, {"pending": "x"}, {"sampler": {}}]
    for values in forged:
        changed = state.copy()
        changed.values |= values
        with pytest.raises(DataError, match="snapshot: damaged"):
            stream.restore(to_bytes(changed, model.hash))
    if state.carry:
        state.carry = tuple(np.zeros((*part.shape[:-1], part.shape[-1] + 1), part.dtype) for part in state.carry)
    else:
        state.values["context"] = [1] * 99
    with pytest.raises(DataError, match="snapshot: damaged"):
        stream.restore(to_bytes(state, model.hash))


def test_a_bad_input_changes_no_stream(language_pair):
    _, model = language_pair("lstm")
    streams = [model.stream(), model.stream()]
    before = [stream.snapshot() for stream in streams]
    for xs in (["t", 10**6], ["t", ""], ["t", None], ["t", True], ["t"]):
        with pytest.raises((DataError, UsageError)):
            model.step_many(streams, xs)
    with pytest.raises(UsageError, match="one occurs twice"):
        model.step_many([streams[0], streams[0]], ["t", "t"])
    with pytest.raises(UsageError, match="belongs to another model"):
        model.step_many([language_pair("mingru")[1].stream()], ["t"])
    assert [stream.snapshot() for stream in streams] == before
    assert model.step_many([], []) == []


def test_run_stream_equals_the_exported_stream(language_pair):
    run, model = language_pair("lstm")
    assert np.array_equal(run.stream().step("to be"), model.stream().step("to be"))
