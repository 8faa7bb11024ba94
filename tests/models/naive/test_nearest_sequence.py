"""The nearest training sequence, by Euclidean distance or dynamic time warping."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.models.naive.nearest_sequence import NearestSequence, _distances


def warping_distance(x: np.ndarray, y: np.ndarray, window: int) -> float:
    """Equation (1), cell by cell."""
    size = len(x)
    table = np.full((size + 1, size + 1), np.inf)
    table[0, 0] = 0.0
    for i in range(size):
        for j in range(max(0, i - window), min(size, i + window + 1)):
            best = min(table[i, j + 1], table[i + 1, j], table[i, j])
            table[i + 1, j + 1] = np.square(x[i] - y[j]).sum() + best
    return float(table[-1, -1])


@pytest.mark.parametrize("window", [0, 1, 3, 17])
def test_distances_equal_the_recursion(window: int) -> None:
    draw = np.random.default_rng(window)
    queries, references = draw.normal(size=(3, 17, 2)), draw.normal(size=(5, 17, 2))
    expected = [[warping_distance(x, y, window) for y in references] for x in queries]
    np.testing.assert_allclose(_distances(queries, references, window), expected, rtol=1e-4)


def bumps(rows: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """One bump or two, each at a random place, in sequences of different lengths."""
    draw = np.random.default_rng(seed)
    inputs, labels = [], draw.integers(0, 2, rows)
    for label in labels:
        steps = np.arange(draw.integers(36, 44))
        places = draw.uniform(4, 20) + np.array([0, 10])[: label + 1]
        inputs.append(np.exp(-np.square(steps[:, None] - places) / 4).sum(1, keepdims=True))
    return inputs, labels


def test_warping_window_is_chosen_on_validation() -> None:
    model, copy = NearestSequence(2), NearestSequence(2)
    model.fit(*bumps(30, 0), *bumps(40, 1))
    assert model.window > 0
    inputs, labels = bumps(60, 2)
    chances = model.probabilities(inputs)
    np.testing.assert_allclose(chances.sum(1), 1.0)
    assert (chances.argmax(1) == labels).mean() > 0.9
    copy.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(copy.probabilities(inputs), chances)


def test_probability_is_the_share_of_right_validation_sequences() -> None:
    inputs = [np.full((5, 1), float(value)) for value in range(10)]
    labels = np.arange(10) % 2
    model = NearestSequence(2)
    model.fit(inputs, labels, [*inputs, *inputs[:2]], np.array([*labels, 1, 0]))
    assert model.error == pytest.approx(3 / 14)
    assert model.probabilities(inputs).max(1) == pytest.approx(11 / 14)


@pytest.mark.parametrize(("name", "value"), [("labels", np.array([0])), ("references", np.zeros((0, 3, 1)))])
def test_damaged_state_is_refused(name: str, value: np.ndarray) -> None:
    model = NearestSequence(2)
    model.fit(*bumps(5, 0), *bumps(5, 1))
    with pytest.raises(ValueError):
        NearestSequence(2).load_state_dict({**model.state_dict(), name: value})
