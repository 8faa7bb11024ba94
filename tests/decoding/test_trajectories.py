"""Tests of sampled paths, quantiles and likelihood of a Gaussian one-step forecaster."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seriatim.decoding.trajectories import joint_log_probability, quantiles, sorted_quantiles, trajectories
from seriatim.errors import DataError, UsageError

Step = tuple[tuple[np.ndarray, np.ndarray], int]


def shrinking(values: np.ndarray, state: int) -> Step:
    """x_t ~ N(x_{t-1} / 2 + 1, 0.3²); the state counts steps."""
    return (0.5 * values + 1, np.full(values.shape, 0.3)), state + 1


def certain(values: np.ndarray, state: int) -> Step:
    """Add the step number with scale 0."""
    return (values + state, np.zeros(values.shape)), state + 1


def test_values_and_state_are_fed_back() -> None:
    paths = trajectories(certain, 1, [10.0, 20.0], 4, 3, np.random.default_rng(0))
    assert paths.shape == (4, 3, 2)
    np.testing.assert_array_equal(paths[:, 0], [[11, 21], [13, 23], [16, 26], [20, 30]])
    assert (paths == paths[:, :1]).all()


def test_samples_may_have_different_starts() -> None:
    first = np.array([[0.0], [100.0]])
    paths = trajectories(shrinking, 0, first, 1, 2, np.random.default_rng(0))
    np.testing.assert_allclose(paths[0, :, 0], [1, 51], atol=3)


def test_paths_depend_on_seed() -> None:
    paths, again, other_paths = (
        trajectories(shrinking, 0, [0.0], 5, 4, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(paths, again)
    assert not np.array_equal(paths, other_paths)
    assert not np.array_equal(paths[:, 0], paths[:, 1])


def test_paths_have_the_process_mean_and_deviation() -> None:
    samples = 40_000
    paths = trajectories(shrinking, 0, [4.0], 3, samples, np.random.default_rng(0))[..., 0]
    mean = np.array([3.0, 2.5, 2.25])
    deviation = 0.3 * np.sqrt([1, 1 + 1 / 4, 1 + 1 / 4 + 1 / 16])
    # Five standard errors each: σ/√S of a mean, σ/√(2S) of a deviation.
    assert (np.abs(paths.mean(axis=1) - mean) < 5 * deviation / math.sqrt(samples)).all()
    assert (np.abs(paths.std(axis=1) - deviation) < 5 * deviation / math.sqrt(2 * samples)).all()


def test_joint_log_probability_is_the_chain_of_densities() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3, 2))
    first = np.zeros((3, 2))
    expected = np.zeros(3)
    for previous, value in zip([first, *values[:-1]], values, strict=True):
        density = np.exp(-((value - 0.5 * previous - 1) ** 2) / (2 * 0.3**2)) / (0.3 * math.sqrt(2 * math.pi))
        expected += np.log(density).sum(axis=1)
    np.testing.assert_allclose(joint_log_probability(shrinking, 0, first, values), expected, rtol=1e-9)


def test_own_samples_are_likelier() -> None:
    paths = trajectories(shrinking, 0, [0.0], 20, 5, np.random.default_rng(0))
    own = joint_log_probability(shrinking, 0, np.zeros((5, 1)), paths)
    foreign = joint_log_probability(shrinking, 0, np.zeros((5, 1)), paths[::-1])
    assert (own > foreign).all()


def test_quantiles_of_known_samples() -> None:
    paths = np.stack([np.arange(11.0), np.arange(11.0)[::-1] * 2])[:, :, None]
    result = quantiles(paths)
    assert result.shape == (2, 1, 3)
    np.testing.assert_allclose(result[:, 0], [[1, 5, 9], [2, 10, 18]])
    np.testing.assert_allclose(quantiles(paths, (0.0, 1.0))[:, 0], [[0, 10], [0, 20]])


def test_crossing_quantiles_are_sorted() -> None:
    crossing = np.array([[3.0, 2.0, 4.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(sorted_quantiles(crossing), [[2, 3, 4], [1, 2, 3]])
    np.testing.assert_array_equal(crossing[0], [3, 2, 4])


def test_bad_input_is_refused() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(UsageError, match="horizon, samples: got 0 and 2"):
        trajectories(shrinking, 0, [0.0], 0, 2, generator)
    for first in (0.0, [[0.0], [0.0], [0.0]]):
        with pytest.raises(DataError, match="first: got shape"):
            trajectories(shrinking, 0, first, 1, 2, generator)
    with pytest.raises(DataError, match="first, values"):
        joint_log_probability(shrinking, 0, [[0.0]], [[0.0]])
    with pytest.raises(DataError, match="scale: got 0"):
        joint_log_probability(certain, 0, [[0.0]], [[[0.0]]])
    with pytest.raises(DataError, match="at least 1 sample"):
        quantiles(np.zeros((3, 0, 1)))
    with pytest.raises(UsageError, match=r"levels: got 1\.5"):
        quantiles(np.zeros((3, 2, 1)), (0.5, 1.5))


@pytest.mark.parametrize(
    ("mean", "scale", "message"),
    [
        (np.zeros((2, 2)), np.ones((2, 1)), r"mean: the step gave shape \(2, 2\), wanted \(2, 1\)"),
        (np.zeros((2, 1)), np.ones(2), "scale: the step gave shape"),
        (np.full((2, 1), np.nan), np.ones((2, 1)), "mean: the step gave a number that is not finite"),
        (np.zeros((2, 1)), -np.ones((2, 1)), r"scale: the step gave -1\.0"),
    ],
)
def test_invalid_step_output_is_refused(mean: np.ndarray, scale: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        trajectories(lambda values, state: ((mean, scale), state), 0, [0.0], 1, 2, np.random.default_rng(0))
