"""Evidence of a forecaster: series of numbers, and windows of them."""

from __future__ import annotations

import math
from typing import Any

import torch

from seriatim.insight.data import DataMeasures, autocorrelations, constant_columns, leaks_of, period_of
from seriatim.insight.evidence import Limit
from seriatim.insight.followers import Follower, followers
from seriatim.insight.information import (
    autocorrelation,
    autoregressive_order,
    default_lags,
    partial_autocorrelation,
)
from seriatim.insight.network import states_of
from seriatim.insight.probe import forecaster_probe
from seriatim.insight.sample import feature_shares, samples_of
from seriatim.models.forecaster import DirectForecaster, RecursiveForecaster, WindowBatch
from seriatim.run.inspection.errors import forecast_errors, places_of
from seriatim.run.inspection.source import SAMPLES, Gathered, Source, rows_for, spaced
from seriatim.tasks.common.forecast_start import WindowReader

SERIES = 200
"""Series that are measured at most."""
LAGS = 1000
"""The longest lag at which series are compared with themselves."""


def gather(source: Source) -> Gathered:
    """Measure windows of the test part, filled up from the training part, and the series of the training part."""
    data, limit = _data(source), Limit(source.codec.lookback, "--lookback", "lookback")
    network = source.network
    if not isinstance(network, (DirectForecaster, RecursiveForecaster)):
        return Gathered(data, limit)
    breakdowns, residuals = forecast_errors(source)
    if not network.reads_steps:
        return Gathered(data, limit, breakdowns=breakdowns, residuals=residuals)
    sample_windows = _windows(source, SAMPLES)
    rows = rows_for(source.options, source.codec.lookback)
    outcomes = [f"{number:.3g}" for number in sample_windows.future[0, :, 0].tolist()]
    samples = samples_of(forecaster_probe(network, sample_windows), outcomes)
    return Gathered(
        data,
        limit,
        forecaster_probe(network, _windows(source, rows)),
        samples,
        _season_followers(source, rows),
        breakdowns=breakdowns,
        residuals=residuals,
        features=feature_shares(samples, (*source.codec.targets, *source.codec.covariates)),
    )


def _season_followers(source: Source, rows: int) -> tuple[Follower, ...]:
    """Units that follow the place in the season, in windows of the training part."""
    options: Any = source.options
    if options.season < 2 or options.season > source.codec.lookback:
        return ()
    windows = WindowReader(source.network, source.codec, source.train, options.horizon)
    chosen = spaced(len(windows), rows)
    states = states_of(forecaster_probe(source.network, windows.batch(chosen)))
    if states is None:
        return ()
    _, origins = places_of(source.train)
    starts = torch.from_numpy(origins[chosen] - source.codec.lookback)
    angle = 2 * math.pi / options.season * (starts + torch.arange(len(states))[:, None])
    return followers(states, {"the season, its cosine": angle.cos(), "the season, its sine": angle.sin()})


def _data(source: Source) -> DataMeasures:
    options: Any = source.options
    codec, train = source.codec, source.train
    targets, width = len(codec.targets), len(codec.targets) + len(codec.covariates)
    values = [
        train.series[index].values[: train.train_ends[index], :width] for index in spaced(len(train.series), SERIES)
    ]
    series = [column for part in values for column in part[:, :targets].T]
    longest = max(1, min(LAGS, min(map(len, series)) // 3))
    period = period_of(series[0])
    strength = autocorrelations(series[0], max(len(series[0]) // 2, 1))
    seasons = {lag for lag in (period, options.season) if lag is not None and lag < len(strength)}
    return DataMeasures(
        partial_autocorrelation(series, longest),
        {"autocorrelation": autocorrelation(series, default_lags(longest))},
        autoregressive_order(series, longest),
        "partial autocorrelation",
        constant_columns(values, (*codec.targets, *codec.covariates)),
        period,
        {lag: float(strength[lag]) for lag in seasons},
        leaks_of(
            [part[:, 0] for part in values], [part[:, targets:] for part in values], codec.covariates, options.horizon
        ),
    )


def _windows(source: Source, rows: int) -> WindowBatch:
    """At most ``rows`` windows of the test part, and of the training part where the test part has fewer."""
    options: Any = source.options
    batches: list[WindowBatch] = []
    for part in (source.test, source.train):
        windows = WindowReader(source.network, source.codec, part, options.horizon)
        missing = rows - sum(batch.history.shape[1] for batch in batches)
        if missing > 0 and len(windows):
            batches.append(windows.batch(spaced(len(windows), missing)))
    starts = [batch.start for batch in batches if batch.start is not None]
    return WindowBatch(
        torch.cat([batch.history for batch in batches], 1),
        torch.cat([batch.future for batch in batches], 1),
        torch.cat(starts) if starts else None,
    )
