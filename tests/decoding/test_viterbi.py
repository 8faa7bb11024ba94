"""Tests of the Viterbi path against all paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from seriatim.decoding.viterbi import Floats, Path, viterbi
from seriatim.errors import UsageError

K = 3
LENGTHS = np.array([4, 1, 3, 5, 2])
Chain = tuple[Floats, Floats, Floats, Floats]


def chain(seed: int) -> Chain:
    """Return emissions with random values after the ends, transitions, start and end."""
    draw = np.random.default_rng(seed)
    return tuple(draw.normal(size=shape) for shape in ((5, len(LENGTHS), K), (K, K), (K,), (K,)))  # type: ignore[return-value]


def score(path: Path, row: int, problem: Chain) -> float:
    emissions, transitions, start, end = problem
    moves = sum(transitions[a, b] for a, b in itertools.pairwise(path))
    return float(start[path[0]] + sum(emissions[t, row, tag] for t, tag in enumerate(path)) + moves + end[path[-1]])


@pytest.mark.parametrize("seed", range(8))
def test_no_path_scores_higher(seed: int) -> None:
    problem = chain(seed)
    paths, scores = viterbi(problem[0], LENGTHS, *problem[1:])
    for row, length in enumerate(LENGTHS):
        scores_by_path = {
            path: score(np.array(path), row, problem) for path in itertools.product(range(K), repeat=length)
        }
        assert tuple(paths[row]) == max(scores_by_path, key=lambda path: scores_by_path[path])
        assert scores[row] == pytest.approx(max(scores_by_path.values()))


def test_transitions_change_path() -> None:
    problem = chain(0)
    paths, _ = viterbi(problem[0], LENGTHS, *problem[1:])
    turned, _ = viterbi(problem[0], LENGTHS, problem[1].T, *problem[2:])
    assert any(not np.array_equal(a, b) for a, b in zip(paths, turned, strict=True))
    flat, _ = viterbi(problem[0], LENGTHS, np.zeros((K, K)), np.zeros(K), np.zeros(K))
    for row, path in enumerate(flat):
        np.testing.assert_array_equal(path, problem[0][: LENGTHS[row], row].argmax(1))


def test_rows_are_independent_and_padding_is_not_read() -> None:
    emissions, *weights = chain(1)
    paths, scores = viterbi(emissions, LENGTHS, *weights)
    spoilt = emissions.copy()
    for row, length in enumerate(LENGTHS):
        spoilt[length:, row] = np.nan
        alone, its_score = viterbi(emissions[:length, row : row + 1], LENGTHS[row : row + 1], *weights)
        np.testing.assert_array_equal(alone[0], paths[row])
        assert its_score[0] == scores[row]
    again, again_scores = viterbi(spoilt, LENGTHS, *weights)
    assert [path.tolist() for path in again] == [path.tolist() for path in paths]
    np.testing.assert_array_equal(again_scores, scores)


def test_forbidden_transition_is_never_taken() -> None:
    emissions, transitions, start, end = chain(2)
    transitions[0, 1] = -np.inf
    for path in viterbi(emissions, LENGTHS, transitions, start, end)[0]:
        assert (0, 1) not in itertools.pairwise(path.tolist())


@pytest.mark.parametrize(
    ("place", "array", "message"),
    [
        (1, np.array([1, 2]), r"lengths: got shape \(2,\), wanted \(5,\)"),
        (1, np.array([4, 0, 3, 5, 2]), "lengths: got 0 to 5, wanted 1 to 5"),
        (1, np.array([4, 1, 3, 6, 2]), "lengths: got 1 to 6, wanted 1 to 5"),
        (2, np.zeros((K, K + 1)), r"transitions: got shape \(3, 4\), wanted \(3, 3\)"),
        (4, np.zeros(1), r"end: got shape \(1,\), wanted \(3,\)"),
    ],
)
def test_unfit_shapes_are_refused(place: int, array: Floats, message: str) -> None:
    emissions, *weights = chain(0)
    arguments = [emissions, LENGTHS, *weights]
    arguments[place] = array
    with pytest.raises(UsageError, match=message):
        viterbi(*arguments)
