"""Measures of data: labels, periods, leaks, constant columns, repeated rows."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.insight.data import (
    constant_columns,
    label_information,
    leaks_of,
    pair_information,
    period_of,
    repeated_rows,
)


def walk(length: int, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).standard_normal(length))


@pytest.mark.parametrize("period", [5, 12, 24, 168])
def test_period_of_a_noisy_season(period: int) -> None:
    steps = np.arange(12 * period)
    shape = np.random.default_rng(1).standard_normal(period)
    noise = 0.3 * np.random.default_rng(2).standard_normal(len(steps))
    assert period_of(shape[steps % period] + noise + 0.01 * steps) == period


@pytest.mark.parametrize("seed", range(10))
def test_series_without_season_have_no_period(seed: int) -> None:
    assert period_of(np.random.default_rng(seed).standard_normal(500)) is None


def test_constant_and_short_series_have_no_period() -> None:
    assert period_of(np.ones(50)) is None
    assert period_of(np.arange(5.0)) is None


def test_covariate_that_is_the_future_is_a_leak() -> None:
    target = np.random.default_rng(0).standard_normal(400)
    covariates = np.stack([np.roll(target, -3), np.random.default_rng(1).standard_normal(400)], 1)
    (leak,) = leaks_of([target], [covariates], ["future", "noise"], 5)
    assert (leak.name, leak.lead) == ("future", 3)
    assert leak.correlation > 0.95


def test_smooth_target_does_not_make_its_copy_a_leak() -> None:
    """Today's value of a random walk predicts tomorrow's, and so does a copy of it: that is no leak."""
    target = walk(1000)
    assert leaks_of([target], [target[:, None] + 0.1], ["copy"], 3) == ()


def test_covariate_that_knows_the_future_of_a_random_walk_is_a_leak() -> None:
    target = walk(1000)
    result = leaks_of([target], [np.roll(target, -1)[:, None]], ["future"], 1)
    assert [leak.name for leak in result] == ["future"]


def test_constant_columns_are_named() -> None:
    values = [np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([[1.0, 2.0]])]
    assert constant_columns(values, ["a", "b"]) == ("b",)


def test_column_that_differs_between_series_alone_is_not_constant() -> None:
    assert constant_columns([np.ones((3, 1)), np.zeros((3, 1))], ["a"]) == ()


def test_repeated_rows_are_counted() -> None:
    train = [np.array([1, 2]), np.array([3])]
    assert repeated_rows(train, [np.array([3]), np.array([1]), np.array([1, 2])]) == 2


def test_shape_is_part_of_a_row() -> None:
    assert repeated_rows([np.zeros((2, 3))], [np.zeros((3, 2))]) == 0


@pytest.mark.parametrize("lag", [0, 7])
def test_step_that_decides_the_label_is_found(lag: int) -> None:
    """The label is a bit that stands ``lag`` steps before the end: 1 bit there, none elsewhere."""
    generator = np.random.default_rng(0)
    sequences = [generator.integers(0, 2, 20) for _ in range(500)]
    labels = np.array([part[-1 - lag] for part in sequences])
    result = label_information(sequences, labels, np.arange(12))
    assert result.values[lag] == pytest.approx(1, abs=0.01)
    assert np.delete(result.values, lag).max() < result.band
    assert result.horizon() == lag


def test_channel_that_decides_the_label_counts() -> None:
    generator = np.random.default_rng(0)
    sequences = [generator.standard_normal((15, 3)) for _ in range(500)]
    labels = np.array([part[-5, 1] > 0 for part in sequences])
    assert label_information(sequences, labels, np.arange(10)).horizon() == 4


def test_shuffled_labels_have_no_horizon() -> None:
    false = 0
    for seed in range(10):
        generator = np.random.default_rng(seed)
        sequences = [generator.standard_normal((15, 2)) for _ in range(200)]
        false += label_information(sequences, generator.integers(0, 3, 200), np.arange(12), seed=seed).horizon() > 0
    assert false <= 1


def test_pair_information_finds_where_a_target_comes_from() -> None:
    """The target is the source from the end: its unit p is the source's unit at lag p."""
    generator = np.random.default_rng(0)
    sources = [generator.integers(0, 5, 8) for _ in range(400)]
    targets = [source[::-1][:3] for source in sources]
    information = pair_information(sources, targets, range(8), range(3))
    assert (information.values[:3] > 2.0).all()
    assert (information.values[3:] < information.band).all()
    assert information.horizon() == 2
