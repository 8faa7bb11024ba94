"""The split of series, and the scores of forecasts, compared with numbers computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seriatim.data.series import Series
from seriatim.errors import DataError
from seriatim.notation import QUANTILES
from seriatim.tasks.common.rolling_origins import (
    Forecasts,
    actual_windows,
    default_lookback,
    default_valid_windows,
    naive_error,
    score_forecasts,
    split_series,
)


def series(rows: int, id: str = "a") -> Series:
    return Series(id, np.arange(rows, dtype=np.float64)[:, None], None, None)


def forecasts(
    median: list[float],
    actual: list[float],
    *,
    half: float = 1.0,
    observed: list[bool] | None = None,
    naive: float = 1.0,
    scale: float = 1.0,
) -> Forecasts:
    """One origin and one target. The 10 and 90 % quantiles are ``half`` below and above the median."""
    middle = np.array(median)
    bands = np.stack([middle - half, middle, middle + half], -1)
    is_observed = [True] * len(actual) if observed is None else observed
    return Forecasts(
        bands[None, :, None],
        np.array(actual)[None, :, None],
        np.array(is_observed)[None, :, None],
        np.array([naive]),
        np.array([scale]),
    )


def joined(*targets: Forecasts) -> Forecasts:
    """Several targets of one series."""
    return Forecasts(
        np.concatenate([target.quantiles for target in targets], 2),
        np.concatenate([target.actual for target in targets], 2),
        np.concatenate([target.observed for target in targets], 2),
        np.concatenate([target.naive_error for target in targets]),
        np.concatenate([target.scale for target in targets]),
    )


# Parts of a series


@pytest.mark.parametrize(
    "rows, horizon, lookback, expected",
    [
        (96, 1, None, 12),
        (95, 1, None, 11),
        (2688, 132, 396, 2),
        (676, 48, 168, 1),
        (20, 8, 8, 1),
        (100, 1, 92, 6),
        (100, 1, 98, 1),
    ],
)
def test_validation_windows_fill_an_eighth(rows: int, horizon: int, lookback: int | None, expected: int) -> None:
    assert default_valid_windows(rows, horizon, lookback) == expected


def test_default_split_of_a_series() -> None:
    parts = split_series(series(100), lookback=20, horizon=6, origins=1, split=())
    assert list(parts.test) == [94]
    assert list(parts.valid) == [88]
    assert parts.train == range(20, 83)  # the last training window ends at row 88
    assert parts.train_rows == 88


def test_origins_extend_the_test_part() -> None:
    parts = split_series(series(100), lookback=20, horizon=6, origins=5, split=())
    assert list(parts.test) == [90, 91, 92, 93, 94]
    assert list(parts.valid) == [84]
    assert parts.train_rows == 84


def test_fixed_split_uses_all_origins() -> None:
    parts = split_series(series(100), lookback=20, horizon=6, origins=1, split=(60, 15, 10))
    assert parts.train == range(20, 55)
    assert parts.valid == range(60, 70)
    assert parts.test == range(75, 80)
    assert parts.train_rows == 60


@pytest.mark.parametrize(("rows", "fits"), [(37, False), (38, True)])
def test_shortest_possible_series(rows: int, fits: bool) -> None:
    if fits:
        assert len(split_series(series(rows), lookback=20, horizon=6, origins=1, split=()).train) == 1
    else:
        with pytest.raises(DataError, match=r"series 'a': 37 rows, wanted at least 38 \(lookback 20 \+ horizon 6"):
            split_series(series(rows), lookback=20, horizon=6, origins=1, split=())


@pytest.mark.parametrize(
    ("split", "error"),
    [
        ((80, 15, 10), "series 'a': 100 rows, but --split wants 105"),
        ((25, 15, 10), "split: 25 rows of train, wanted at least 26 (lookback 20 + horizon 6)"),
        ((60, 5, 10), "split: 5 rows of valid, wanted at least the horizon of 6"),
        ((60, 15, 5), "split: 5 rows of test, wanted at least the horizon of 6"),
    ],
)
def test_impossible_split_is_refused(split: tuple[int, ...], error: str) -> None:
    with pytest.raises(DataError) as refused:
        split_series(series(100), lookback=20, horizon=6, origins=1, split=split)
    assert str(refused.value) == error


@pytest.mark.parametrize("rows", [10, 11, 40, 200, 2000])
@pytest.mark.parametrize(("horizon", "season"), [(1, 1), (3, 7), (3, 1)])
def test_default_lookback_always_fits(rows: int, horizon: int, season: int) -> None:
    lookback = default_lookback(rows, horizon, season, 2 * horizon)
    parts = split_series(series(rows), lookback, horizon, 1, ())
    assert len(parts.train) >= 1
    assert lookback <= max(3 * horizon, 2 * season, 24)
    if rows == 2000:
        assert lookback == max(3 * horizon, 2 * season, 24)


def test_actual_windows_follow_their_origins() -> None:
    values = np.arange(20.0).reshape(10, 2)
    got = actual_windows(values, range(4, 7), 3)
    assert got.shape == (3, 3, 2)
    for row, origin in enumerate(range(4, 7)):
        assert np.array_equal(got[row], values[origin : origin + 3])


def test_naive_error_uses_seasonal_lag() -> None:
    values = np.array([[1.0, 0.0], [3.0, 0.0], [2.0, 0.0], [7.0, 5.0]])
    np.testing.assert_allclose(naive_error(values, 1), [(2 + 1 + 5) / 3, 5 / 3])
    np.testing.assert_allclose(naive_error(values, 2), [(1 + 4) / 2, 5 / 2])
    np.testing.assert_allclose(naive_error(values, 4), naive_error(values, 1))  # less than a season


# Scores


def test_scores_of_one_series_by_hand() -> None:
    forecast = forecasts([10.0, 20.0], [12.0, 19.0], half=1.5, naive=0.5)
    scores = score_forecasts(iter([forecast]), scaled_errors=False)
    quantile_loss = np.mean(
        [
            0.1 * (12 - 8.5),
            0.5 * (12 - 10),
            0.9 * (12 - 11.5),  # above all three
            0.1 * (19 - 18.5),
            0.5 * (20 - 19),
            0.1 * (21.5 - 19),  # inside the band, below the median
        ]
    )
    expected = {
        "mase": (2 + 1) / 2 / 0.5,
        "smape": 100 * (2 * 2 / 22 + 2 * 1 / 39) / 2,
        "rmse": math.sqrt((4 + 1) / 2),
        "mse": (4 + 1) / 2,
        "mae": (2 + 1) / 2,
        "quantile_loss": quantile_loss,
        "coverage": 0.5,
    }
    assert list(scores) == list(expected)
    assert scores == pytest.approx(expected)


def test_smape_is_between_0_and_200() -> None:
    worst = score_forecasts(iter([forecasts([5.0, -3.0], [-2.0, 4.0])]), scaled_errors=False)
    best = score_forecasts(iter([forecasts([0.0, 7.0], [0.0, 7.0])]), scaled_errors=False)
    assert (worst["smape"], best["smape"]) == (200.0, 0.0)


def test_mase_is_a_mean_over_series() -> None:
    short = forecasts([0.0], [4.0], naive=1.0)
    long = forecasts([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], naive=0.5)
    scores = score_forecasts(iter([short, long]), scaled_errors=False)
    assert scores["mase"] == pytest.approx((4 / 1 + 1 / 0.5) / 2)
    assert scores["mae"] == pytest.approx((4 + 1 + 1 + 1) / 4)


def test_constant_series_has_no_mase() -> None:
    flat = forecasts([1.0], [2.0], naive=0.0)
    assert "mase" not in score_forecasts(iter([flat]), scaled_errors=False)
    scores_of_both = score_forecasts(iter([flat, forecasts([0.0], [3.0], naive=2.0)]), scaled_errors=False)
    assert scores_of_both["mase"] == pytest.approx(1.5)


def test_unobserved_values_are_not_scored() -> None:
    forecast = forecasts([0.0, 0.0], [2.0, 1000.0], observed=[True, False], naive=1.0)
    single = forecasts([0.0], [2.0], naive=1.0)
    assert score_forecasts(iter([forecast]), scaled_errors=False) == score_forecasts(
        iter([single]), scaled_errors=False
    )


def test_scaled_errors_affect_only_mse_and_mae() -> None:
    small = forecasts([0.0, 0.0], [1.0, 3.0], half=2.0, naive=0.5, scale=1.0)
    large = forecasts([0.0, 0.0], [100.0, 300.0], half=200.0, naive=50.0, scale=100.0)
    scores = score_forecasts(iter([joined(small, large)]), scaled_errors=True)
    assert scores["mse"] == pytest.approx((1 + 9) / 2)  # both targets alike, once scaled
    assert scores["mae"] == pytest.approx((1 + 3) / 2)
    assert scores["rmse"] == pytest.approx((math.sqrt(5) + 100 * math.sqrt(5)) / 2)
    assert scores["mase"] == pytest.approx(2 / 0.5)
    assert scores["coverage"] == pytest.approx(0.5)
    unscaled = score_forecasts(iter([joined(small, large)]), scaled_errors=False)
    assert unscaled["mae"] == pytest.approx((2 + 200) / 2)


def test_true_quantiles_minimise_quantile_loss() -> None:
    draws = np.random.default_rng(0).normal(size=(20_000, 1, 1))
    is_observed, scale = np.ones_like(draws, bool), np.ones(1)

    def loss(width: float) -> float:
        bands = np.broadcast_to([-width, 0.0, width], (*draws.shape, len(QUANTILES)))
        return score_forecasts(iter([Forecasts(bands, draws, is_observed, scale, scale)]), scaled_errors=False)[
            "quantile_loss"
        ]

    assert loss(1.2816) < min(loss(1.0), loss(1.6), loss(0.0))
