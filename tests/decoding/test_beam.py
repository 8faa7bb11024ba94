"""Tests of beam search against exhaustive search and against a greedy loop."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_arrays

from seriatim.decoding.beam import Hypothesis, _likeliest, search
from seriatim.errors import UsageError

END = 3
LONGEST = 4


class Table:
    """A second-order model with one table per source; its state is the source and the previous unit."""

    def __init__(self, sources: int, seed: int = 0) -> None:
        logits = np.random.default_rng(seed).normal(scale=1.5, size=(sources, END + 1, END + 1, END + 1))
        self.chances = logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    def start(self) -> Any:
        rows = np.arange(len(self.chances))
        return rows, np.full(len(rows), END)

    def step(self, tokens: Any, state: Any) -> Any:
        rows, previous = state
        looked = np.stack([rows + 0.5, tokens], 1)
        return self.chances[rows, previous, tokens], (rows, tokens), looked

    def take(self, state: Any, rows: Any) -> Any:
        return tuple(part[rows] for part in state)

    def joint(self, source: int, units: tuple[int, ...], *, end: bool = True) -> float:
        path = [END, END, *units, *([END] if end else [])]
        return float(sum(self.chances[(source, *path[at - 2 : at + 1])] for at in range(2, len(path))))


def everything(model: Table, source: int, alpha: float) -> list[tuple[float, tuple[int, ...]]]:
    """Return all sequences that end, sorted by score."""
    result = []
    for length in range(LONGEST + 1):
        for units in itertools.product(range(END), repeat=length):
            result.append((model.joint(source, units) / ((6 + length) / 6) ** alpha, units))
    return sorted(result, reverse=True)


def searched(model: Table, **options: Any) -> list[list[Hypothesis]]:
    return search(model, model.start(), len(model.chances), END, max_length=LONGEST, **options)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
def test_large_beam_equals_exhaustive_search(alpha: float) -> None:
    model = Table(4)
    all_sequences = sum(END**length for length in range(LONGEST + 1))
    for source, result in enumerate(searched(model, beam_size=all_sequences, n_best=9, length_penalty=alpha)):
        truth = everything(model, source, alpha)[:9]
        assert [hypothesis.units for hypothesis in result] == [units for _, units in truth]
        np.testing.assert_allclose(
            [hypothesis.score for hypothesis in result], [score for score, _ in truth], rtol=1e-12
        )
        np.testing.assert_allclose(
            [hypothesis.log_probability for hypothesis in result], [model.joint(source, u) for _, u in truth]
        )


def test_small_beam_differs_from_exhaustive_search() -> None:
    """The test above can fail: a beam of size 2 misses some of the best sequences."""
    models = [Table(4, seed) for seed in range(8)]
    best = [everything(model, source, 0.0)[0][1] for model in models for source in range(4)]
    result = [hypotheses[0].units for model in models for hypotheses in searched(model, beam_size=2)]
    assert result != best


def test_beam_of_one_is_greedy() -> None:
    model = Table(20, seed=1)
    for source, (result,) in enumerate(searched(model)):
        units: list[int] = []
        previous = last = END
        while len(units) < LONGEST:
            previous, last = last, int(model.chances[source, previous, last].argmax())
            if last == END:
                break
            units.append(last)
        assert result.units == tuple(units)
        assert result.log_probability == pytest.approx(model.joint(source, result.units, end=last == END))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_sources_are_independent(beam_size: int) -> None:
    model = Table(6, seed=2)
    together = searched(model, beam_size=beam_size, n_best=beam_size)
    for source, result in enumerate(together):
        alone = Table(6, seed=2)
        alone.chances = alone.chances[source : source + 1]
        again = searched(alone, beam_size=beam_size, n_best=beam_size)[0]
        for hypothesis, repeated in zip(result, again, strict=True):
            assert (repeated.units, repeated.score) == (hypothesis.units, hypothesis.score)


def test_alignment_belongs_to_written_units() -> None:
    model = Table(5, seed=3)
    for source, result in enumerate(searched(model, beam_size=3, n_best=3)):
        for hypothesis in result:
            assert hypothesis.alignment is not None
            previous = [END, *hypothesis.units[:-1]] if hypothesis.units else []
            np.testing.assert_array_equal(hypothesis.alignment[:, 0], np.full(len(hypothesis.units), source + 0.5))
            np.testing.assert_array_equal(hypothesis.alignment[:, 1], previous)


@given(
    hypothesis_arrays.arrays(np.float32, (2, 3, 40), elements=st.sampled_from([-9.0, -3.0, -2.5, -0.5, -np.inf])),
    hypothesis_arrays.arrays(np.float64, (2, 3), elements=st.sampled_from([0.0, -1.0, -1.5, -np.inf])),
    st.integers(1, 60),
)
@settings(max_examples=200)
def test_likeliest_continuations_are_those_of_a_full_sort(table: Any, scores: Any, count: int) -> None:
    """Many scores are equal, so the order of ties is tested too."""
    joint = (scores[:, :, None] + table).reshape(2, -1)
    order = np.argsort(-joint, axis=1, kind="stable")[:, :count]
    rows, units, values = _likeliest(scores, table, count)
    np.testing.assert_array_equal(values, np.take_along_axis(joint, order, 1))
    np.testing.assert_array_equal(40 * rows + units, order)


@pytest.mark.parametrize("count", [1, 8, 20])
def test_most_continuations_are_left_out_before_the_sort(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    scores, table = generator.normal(size=(3, 4)), generator.normal(size=(3, 4, 5001)).astype(np.float32)
    sorted_numbers = []
    lexsort = np.lexsort
    monkeypatch.setattr(np, "lexsort", lambda keys: sorted_numbers.append(len(keys[0])) or lexsort(keys))
    rows, units, _ = _likeliest(scores, table, count)
    order = np.argsort(-(scores[:, :, None] + table).reshape(3, -1), axis=1, kind="stable")[:, :count]
    np.testing.assert_array_equal(5001 * rows + units, order)
    assert 3 * count <= sorted_numbers[0] <= 3 * (2 * count + 8)


def test_forbidden_units_are_never_written() -> None:
    for result in searched(Table(8), beam_size=4, n_best=4, forbidden=(0,)):
        assert all(0 not in hypothesis.units for hypothesis in result)


def test_model_that_never_ends_is_cut_at_max_length() -> None:
    model = Table(2)
    model.chances[..., END] = -np.inf
    for (result,) in searched(model):
        assert len(result.units) == LONGEST


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size: got 0, wanted at least 1"),
        ({"n_best": 2}, "n_best: got 2, wanted at most the beam's size (1)"),
        ({"length_penalty": -1.0}, "length_penalty: got -1.0, wanted a number from 0"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        searched(Table(1), **options)
    assert str(refused.value) == message
