"""Series with the origins they are forecast from, and the scores of such forecasts.

The forecast of origin ``o`` sees ``values[:o]`` and is compared with ``values[o : o + horizon]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from seriatim.data.series import Series
from seriatim.errors import DataError
from seriatim.notation import QUANTILES

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rolling:
    """Series, scaled and not, and where their forecasts begin."""

    series: Sequence[Series]
    scaled: Sequence[Array]
    """Per series [T, C] float32; mask channels behind the values where values are missing."""
    origins: Sequence[range]
    train_ends: Sequence[int]
    """Per series: rows of the training part, which the naive error of MASE is measured on."""
    positions: Sequence[int | None]
    """Per series: its place among the series that models were fitted on, None for one never seen."""


@dataclass(frozen=True)
class Parts:
    """The rows of one series that belong to each part, and the origins in them."""

    train: range
    valid: range
    test: range
    train_rows: int


def part_series(series: Series, lookback: int, horizon: int, origins: int, split: tuple[int, ...]) -> Parts:
    """Split one series in time.

    The last ``horizon`` steps are the test, rolled over the last ``origins`` origins; the ``horizon`` before them are
    the validation; ``split`` fixes the rows of each part instead. Raises ``DataError`` for a series that is too short.
    """
    rows = len(series.values)
    if split:
        train, valid, test = split
        if sum(split) > rows:
            raise DataError(f"series '{series.id}': {rows} rows, but --split wants {sum(split)}")
        first_valid, first_test, end = train, train + valid, train + valid + test
    else:
        first_test, end = rows - horizon - origins + 1, rows
        first_valid = first_test - horizon
    wanted = lookback + horizon
    if split and train < wanted:
        raise DataError(
            f"split: {train} rows of train, wanted at least {wanted} (lookback {lookback} + horizon {horizon})"
        )
    if first_valid < wanted:
        held = rows - first_valid
        raise DataError(
            f"series '{series.id}': {rows} rows, wanted at least {wanted + held} "
            f"(lookback {lookback} + horizon {horizon} to train on, {held} for validation and test)"
        )
    for name, start, stop in (("valid", first_valid, first_test), ("test", first_test, end)):
        if stop - start < horizon:
            raise DataError(f"split: {stop - start} rows of {name}, wanted at least the horizon of {horizon}")
    return Parts(
        train=range(lookback, first_valid - horizon + 1),
        valid=range(first_valid, first_test - horizon + 1),
        test=range(first_test, end - horizon + 1),
        train_rows=first_valid,
    )


def fitting_lookback(rows: int, horizon: int, season: int, held: int) -> int:
    """Choose a lookback: three horizons, two seasons or 24 steps if half of the shortest series allows it."""
    wanted = max(3 * horizon, 2 * season, 24)
    room = rows - held - horizon
    return max(1, min(wanted, room // 2))


@dataclass(frozen=True)
class Forecasts:
    """The forecasts of one series: what came and what was foretold."""

    quantiles: Array
    """[N, horizon, targets, Q] in the data's units."""
    actual: Array
    """[N, horizon, targets]."""
    observed: Array
    """[N, horizon, targets] bool: False where the value was missing and does not count."""
    naive_error: Array
    """[targets]: mean absolute error of the naive forecast at the lag of a season, within the training part."""
    scale: Array
    """[targets]: the deviation that the scaler gives the series."""


def actual_windows(values: Array, origins: range, horizon: int) -> Array:
    """Return what follows each origin, ``[N, horizon, C]``; a view."""
    windows = sliding_window_view(values, horizon, axis=0)[origins.start : origins.stop]
    return np.moveaxis(windows, -1, 1)


def naive_error(values: Array, season: int) -> Array:
    """Return the mean absolute difference of ``values`` [T, C] to those a season before, per channel."""
    lag = season if season < len(values) else 1
    error: Array = np.abs(values[lag:] - values[:-lag]).mean(0)
    return error


def score_forecasts(forecasts: Iterator[Forecasts], *, scaled_errors: bool) -> dict[str, float]:
    """Score the forecasts of all series together.

    ``mase`` is the mean over series of each one's own (Hyndman & Koehler 2006), series whose naive error is 0 left
    out; everything else is a mean over all forecast values, then over targets. With ``scaled_errors``, ``mse`` and
    ``mae`` are on scaled values.
    """
    sums: dict[str, Array] = {}
    mase: list[float] = []
    levels = np.array(QUANTILES)
    for one in forecasts:
        seen = one.observed
        error = np.where(seen, one.actual - one.quantiles[..., QUANTILES.index(0.5)], 0.0)
        scaled = error / one.scale if scaled_errors else error
        size = np.abs(one.actual) + np.abs(one.quantiles[..., QUANTILES.index(0.5)])
        ratio = np.divide(2 * np.abs(error), size, out=np.zeros_like(error), where=size > 0)
        miss = np.where(seen[..., None], one.actual[..., None] - one.quantiles, 0.0)
        pinball = np.maximum(levels * miss, (levels - 1) * miss).mean(-1)
        inside = (one.actual >= one.quantiles[..., 0]) & (one.actual <= one.quantiles[..., -1]) & seen
        parts = {
            "count": seen,
            "square": error**2,
            "mse": scaled**2,
            "mae": np.abs(scaled),
            "smape": 100 * ratio,
            "quantile_loss": pinball,
            "coverage": inside,
        }
        for name, part in parts.items():
            sums[name] = sums.get(name, 0.0) + part.sum((0, 1), dtype=np.float64)
        usable = (one.naive_error > 0) & seen.any((0, 1))
        if usable.any():
            size = np.abs(error).sum((0, 1)) / np.maximum(seen.sum((0, 1)), 1)
            mase.append(float((size[usable] / one.naive_error[usable]).mean()))
    count = np.maximum(sums.pop("count"), 1)
    rmse = np.sqrt(sums.pop("square") / count)
    scores = {"mase": float(np.mean(mase))} if mase else {}
    means = {name: float((value / count).mean()) for name, value in sums.items()}
    return scores | {"smape": means.pop("smape"), "rmse": float(rmse.mean())} | means
