"""The naive forecasts and their intervals against the formulas of Hyndman & Athanasopoulos (2021)."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from seriatim.errors import UsageError
from seriatim.models.naive.persistence import Drift, Naive, SeasonalNaive
from seriatim.notation import QUANTILES

Y = np.array([3.0, 5.0, 4.0, 8.0, 7.0, 9.0, 6.0, 12.0])[:, None]
Z = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])


def bands(mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return mean[:, None] + spread[:, None] * Z


def test_naive() -> None:
    model = Naive()
    model.fit([Y[:6]])
    sigma = np.sqrt(np.mean(np.array([2, -1, 4, -1, 2.0]) ** 2))
    result = model.forecast(0, Y, [6, 8], 3)
    assert result.shape == (2, 3, 1, 3)
    for row, last in ((0, 9.0), (1, 12.0)):
        np.testing.assert_allclose(result[row, :, 0], bands(np.full(3, last), sigma * np.sqrt([1, 2, 3])), rtol=1e-12)


def test_seasonal_naive() -> None:
    model = SeasonalNaive(3)
    model.fit([Y])
    sigma = np.sqrt(np.mean((Y[3:, 0] - Y[:-3, 0]) ** 2))
    whole_seasons = np.array([0, 0, 0, 1, 1, 1, 2])
    mean = np.array([9.0, 6.0, 12.0, 9.0, 6.0, 12.0, 9.0])
    np.testing.assert_allclose(
        model.forecast(0, Y, [8], 7)[0, :, 0], bands(mean, sigma * np.sqrt(whole_seasons + 1)), rtol=1e-12
    )


def test_season_of_one_equals_naive() -> None:
    first, second = SeasonalNaive(1), Naive()
    first.fit([Y])
    second.fit([Y])
    assert np.array_equal(first.forecast(0, Y, [1, 5, 8], 4), second.forecast(0, Y, [1, 5, 8], 4))


def test_short_history_repeats_last_value() -> None:
    model = SeasonalNaive(5)
    model.fit([Y[:4]])
    median = model.forecast(0, Y, [4, 5], 3)[:, :, 0, 1]
    assert median.tolist() == [[8.0, 8.0, 8.0], [3.0, 5.0, 4.0]]


def test_drift() -> None:
    model = Drift()
    model.fit([Y])
    changes = np.diff(Y[:, 0])
    slope = 9 / 7
    sigma = np.sqrt(((changes - slope) ** 2).sum() / 6)  # T - 1 residuals, one parameter
    h = np.arange(1, 5)
    np.testing.assert_allclose(
        model.forecast(0, Y, [8], 4)[0, :, 0], bands(12 + slope * h, sigma * np.sqrt(h * (1 + h / 7))), rtol=1e-12
    )


def test_drift_uses_the_slope_of_each_history() -> None:
    model = Drift()
    model.fit([Y])
    median = model.forecast(0, Y, [1, 2, 4], 2)[:, :, 0, 1]
    np.testing.assert_allclose(median, [[3, 3], [7, 9], [8 + 5 / 3, 8 + 10 / 3]], rtol=1e-12)


def test_drift_is_certain_on_a_straight_line() -> None:
    line = np.arange(10.0)[:, None]
    model = Drift()
    model.fit([line])
    np.testing.assert_allclose(model.forecast(0, line, [10], 3)[0, :, 0], np.repeat([[10], [11], [12]], 3, axis=1))


def test_season_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="season: got 0"):
        SeasonalNaive(0)
