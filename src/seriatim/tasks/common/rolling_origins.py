"""Series with the origins of their forecasts, and the scores of such forecasts.

The forecast of origin ``o`` sees ``values[:o]`` and is compared with ``values[o : o + horizon]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from seriatim.data.series import Series
from seriatim.errors import DataError
from seriatim.notation import QUANTILES

Array = np.ndarray[Any, Any]

VALIDATION_SHARE: Final = 8
"""The validation part is at most this part of the rows before the test part: an eighth."""


@dataclass(frozen=True)
class Rolling:
    """Series, in their own units and scaled, with the origins of their forecasts."""

    series: Sequence[Series]
    scaled: Sequence[Array]
    """Per series [T, C] float32. If values are missing, mask channels follow the value channels."""
    origins: Sequence[range]
    train_ends: Sequence[int]
    """Per series: the number of rows of the training part, on which the naive error of MASE is measured."""
    positions: Sequence[int | None]
    """Per series: its index among the series of the training, or None for a new series."""
    is_scored: Sequence[Array] | None = None
    """Per series [N, targets] bool: the targets that are scored at each origin; None for all."""


@dataclass(frozen=True)
class SeriesParts:
    """The origins of one series in each part."""

    train: range
    valid: range
    test: range
    train_rows: int
    """The number of rows of the training part."""


def last_origins(ends: Sequence[int], horizon: int, origins: int) -> tuple[range, Array]:
    """Return the origins of a test part, and which targets are scored at each of them, bool ``[N, targets]``.

    ``ends`` has for each target the number of rows up to its last value. A target is scored at its last ``origins``
    origins, the last of them ``horizon`` steps before its end.
    """
    last = np.array(ends) - horizon
    whole = range(int(last.min()) - origins + 1, int(last.max()) + 1)
    numbers = np.array(whole)[:, None]
    return whole, (numbers > last - origins) & (numbers <= last)


def split_series(
    series: Series,
    lookback: int,
    horizon: int,
    origins: int,
    split: tuple[int, ...],
    ends: Sequence[int] | None = None,
    valid_windows: int = 1,
) -> SeriesParts:
    """Split one series in time; ``ends`` has for each target the number of rows up to its last value (default: all).

    The test part has the last ``origins`` origins of each target, the last one ``horizon`` steps before its end. The
    validation part is the ``valid_windows`` horizons before them, and has all their origins. If ``split`` is passed, it
    fixes the rows of each part instead. Raises ``DataError`` for a series that is too short.
    """
    ends = ends or [len(series.values)]
    rows = len(series.values) if split else min(ends)
    if split:
        train, valid, test = split
        if sum(split) > rows:
            raise DataError(f"series '{series.id}': {rows} rows, but --split wants {sum(split)}")
        first_valid, first_test, end = train, train + valid, train + valid + test
    else:
        first_test, end = rows - horizon - origins + 1, max(ends)
        first_valid = first_test - valid_windows * horizon
    needed = lookback + horizon
    if split and train < needed:
        raise DataError(
            f"split: {train} rows of train, wanted at least {needed} (lookback {lookback} + horizon {horizon})"
        )
    if first_valid < needed:
        evaluation_rows = rows - first_valid
        raise DataError(
            f"series '{series.id}': {rows} rows, wanted at least {needed + evaluation_rows} "
            f"(lookback {lookback} + horizon {horizon} to train on, {evaluation_rows} for validation and test)"
        )
    for name, start, stop in (("valid", first_valid, first_test), ("test", first_test, end)):
        if stop - start < horizon:
            raise DataError(f"split: {stop - start} rows of {name}, wanted at least the horizon of {horizon}")
    return SeriesParts(
        train=range(lookback, first_valid - horizon + 1),
        valid=range(first_valid, first_test - horizon + 1),
        test=range(first_test, end - horizon + 1),
        train_rows=first_valid,
    )


def default_valid_windows(rows: int, horizon: int, lookback: int | None) -> int:
    """Return the number of horizons of a validation part: those in an eighth of ``rows``, and at least 1.

    ``rows`` is the length of the shortest series up to its test part. The training part keeps at least two windows:
    their ``lookback`` (None: not chosen yet) and two horizons.
    """
    room = min(rows // VALIDATION_SHARE, rows - (lookback or 1) - 2 * horizon)
    return max(1, room // horizon)


def default_lookback(rows: int, horizon: int, season: int, evaluation_rows: int) -> int:
    """Return a lookback of three horizons, two seasons or 24 steps, but at most half of the shortest series.

    ``rows`` is the length of the shortest series, ``evaluation_rows`` the number of its validation and test rows.
    """
    preferred = max(3 * horizon, 2 * season, 24)
    available = rows - evaluation_rows - horizon
    return max(1, min(preferred, available // 2))


@dataclass(frozen=True)
class Forecasts:
    """The forecasts of one series, and the actual values."""

    quantiles: Array
    """[N, horizon, targets, Q] in the data's units."""
    actual: Array
    """[N, horizon, targets]."""
    observed: Array
    """[N, horizon, targets] bool: False where the value is missing; it is then not scored."""
    naive_error: Array
    """[targets]: mean absolute error of the seasonal naive forecast within the training part."""
    scale: Array
    """[targets]: the deviation of the series, from its scaler."""


def actual_windows(values: Array, origins: range, horizon: int) -> Array:
    """Return the values after each origin, ``[N, horizon, C]``, as a view."""
    windows = sliding_window_view(values, horizon, axis=0)[origins.start : origins.stop]
    return np.moveaxis(windows, -1, 1)


def naive_error(values: Array, season: int) -> Array:
    """Return the mean absolute difference between ``values`` [T, C] and the values one season earlier, per channel."""
    lag = season if season < len(values) else 1
    error: Array = np.abs(values[lag:] - values[:-lag]).mean(0)
    return error


def score_forecasts(forecasts: Iterator[Forecasts], *, scaled_errors: bool) -> dict[str, float]:
    """Score the forecasts of all series together.

    ``mase`` is the mean of the MASE of each series (Hyndman & Koehler 2006), without series whose naive error is 0. The
    other scores are means over all forecast values, then over targets. With ``scaled_errors``, ``mse`` and ``mae`` are
    computed on scaled values.
    """
    sums: dict[str, Array] = {}
    mase: list[float] = []
    levels = np.array(QUANTILES)
    for forecast in forecasts:
        observed = forecast.observed
        error = np.where(observed, forecast.actual - forecast.quantiles[..., QUANTILES.index(0.5)], 0.0)
        scaled = error / forecast.scale if scaled_errors else error
        size = np.abs(forecast.actual) + np.abs(forecast.quantiles[..., QUANTILES.index(0.5)])
        ratio = np.divide(2 * np.abs(error), size, out=np.zeros_like(error), where=size > 0)
        miss = np.where(observed[..., None], forecast.actual[..., None] - forecast.quantiles, 0.0)
        pinball = np.maximum(levels * miss, (levels - 1) * miss).mean(-1)
        inside = (
            (forecast.actual >= forecast.quantiles[..., 0])
            & (forecast.actual <= forecast.quantiles[..., -1])
            & observed
        )
        terms = {
            "count": observed,
            "square": error**2,
            "mse": scaled**2,
            "mae": np.abs(scaled),
            "smape": 100 * ratio,
            "quantile_loss": pinball,
            "coverage": inside,
        }
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + term.sum((0, 1), dtype=np.float64)
        usable = (forecast.naive_error > 0) & observed.any((0, 1))
        if usable.any():
            size = np.abs(error).sum((0, 1)) / np.maximum(observed.sum((0, 1)), 1)
            mase.append(float((size[usable] / forecast.naive_error[usable]).mean()))
    count = np.maximum(sums.pop("count"), 1)
    rmse = np.sqrt(sums.pop("square") / count)
    scores = {"mase": float(np.mean(mase))} if mase else {}
    means = {name: float((value / count).mean()) for name, value in sums.items()}
    return scores | {"smape": means.pop("smape"), "rmse": float(rmse.mean())} | means
