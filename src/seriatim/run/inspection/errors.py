"""Where the errors of a model are: its score by class, length, frequency, horizon step and time of day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch

from seriatim.insight.breakdown import Breakdown, Group, by_group, by_size
from seriatim.insight.calibration import class_calibrations
from seriatim.insight.information import LagInformation, autocorrelation
from seriatim.models.forecaster import DirectForecaster, RecursiveForecaster
from seriatim.models.language import SoftmaxLanguageModel
from seriatim.notation import QUANTILES
from seriatim.run.inspection.source import Array, Source
from seriatim.tasks.common.forecast_start import WindowReader
from seriatim.tasks.common.rolling_origins import Rolling
from seriatim.tasks.options import ForecastOptions

WARM = 0.2
"""Share of a text's steps that only prepare the state."""
WINDOWS = 400
"""Windows of a series that are forecast at most."""
FEWEST_ORIGINS = 30
RESIDUAL_LAGS = 40
SECOND = np.timedelta64(1, "s")
HOUR, DAY = 3600, 86_400


def unit_errors(network: SoftmaxLanguageModel, source: Source, units: Array) -> Iterator[Breakdown]:
    """Loss by how often a unit occurs in the training part, and of the commonest units; ``units`` [T + 1, B]."""
    losses = network.nll(torch.from_numpy(units[:-1]), torch.from_numpy(units[1:]), ())[0].double().numpy()
    first = int(WARM * len(losses))
    targets, values = units[1:][first:].ravel(), losses[first:].ravel()
    counts = np.bincount(source.train.tokens, minlength=len(source.codec.tokens))
    frequency = by_size("loss in nats by how often the unit is in the training part", values, counts[targets])
    if frequency is not None:
        yield frequency
    names = [repr(token) if token.isspace() else token for token in source.codec.tokens]
    yield by_group("loss in nats of the commonest units", values, targets, names)


def class_errors(chances: Array, labels: Array, names: Sequence[str], lengths: Array) -> Iterator[Breakdown]:
    """Accuracy by class and by length, and the calibration error of each class."""
    is_right = (chances.argmax(1) == labels).astype(float)
    yield by_group("accuracy by class", is_right, labels, names)
    by_length = by_size("accuracy by length of the sequence", is_right, lengths)
    if by_length is not None:
        yield by_length
    counts = np.bincount(labels, minlength=len(names))
    errors = class_calibrations(chances, labels)
    largest = np.argsort(-counts, kind="stable")[:24]
    groups = [Group(names[number], errors[number], 0.0, int(counts[number])) for number in sorted(largest.tolist())]
    yield Breakdown("calibration error by class", tuple(group for group in groups if group.count))


def number_errors(predicted: Array, targets: Array, lengths: Array) -> Iterator[Breakdown]:
    """Absolute error of a regression by the size of its target and by length."""
    errors = np.abs(predicted - targets)
    for title, sizes in (("target", targets), ("length of the sequence", lengths)):
        breakdown = by_size(f"absolute error by {title}", errors, sizes)
        if breakdown is not None:
            yield breakdown


def forecast_errors(source: Source) -> tuple[tuple[Breakdown, ...], LagInformation | None]:
    """Absolute error by horizon step and by the time of day or place in the season; autocorrelation of the residuals.

    They are of the test part, or of the last training windows where the test part has too few origins. Errors are in
    the scaled units of each series.
    """
    network, options = source.network, cast(ForecastOptions, source.options)
    assert isinstance(network, (DirectForecaster, RecursiveForecaster))
    part = source.test if max(map(len, source.test.origins), default=0) >= FEWEST_ORIGINS else source.train
    windows = WindowReader(network, source.codec, part, options.horizon)
    chosen = np.arange(max(len(windows) - WINDOWS, 0), len(windows))
    batch = windows.batch(chosen)
    with torch.no_grad():
        quantiles = network.quantiles(batch.history, np.random.default_rng(options.seed), batch.start)
    middle = quantiles[..., QUANTILES.index(0.5)].numpy().astype(np.float64)
    residuals = batch.future[..., : middle.shape[2]].transpose(0, 1).numpy() - middle  # [N, horizon, targets]
    errors = np.abs(residuals).mean(2)
    steps = np.broadcast_to(np.arange(options.horizon), errors.shape)
    names = [str(step + 1) for step in range(options.horizon)]
    breakdowns = [by_group("absolute error by step of the horizon", errors.ravel(), steps.ravel(), names)]
    series, origins = (places[chosen] for places in places_of(part))
    breakdowns += _by_time(source, part, errors, series, origins)
    last = residuals[series == series[-1], 0, 0]
    if len(last) < FEWEST_ORIGINS:
        return tuple(breakdowns), None
    return tuple(breakdowns), autocorrelation([last], np.arange(1, min(RESIDUAL_LAGS, len(last) // 3) + 1))


def places_of(part: Rolling) -> tuple[Array, Array]:
    """The series and the origin of each window of a part, in their order, [N] each."""
    series = [np.full(len(origins), index) for index, origins in enumerate(part.origins)]
    return np.concatenate(series), np.concatenate([np.asarray(origins) for origins in part.origins])


def _by_time(source: Source, part: Rolling, errors: Array, series: Array, origins: Array) -> Iterator[Breakdown]:
    """By the hour of the day where times are finer than a day, else by the place in the season."""
    steps = origins[:, None] + np.arange(errors.shape[1])
    times = [item.times for item in part.series if item.times is not None]
    if len(times) == len(part.series) and all(np.issubdtype(stamps.dtype, np.datetime64) for stamps in times):
        seconds = np.stack(
            [(times[index][row] - times[index][0]) // SECOND for index, row in zip(series, steps, strict=True)]
        )
        first = np.array([(stamps[0] - stamps[0].astype("datetime64[D]")) // SECOND for stamps in times])
        hours = (seconds + first[series][:, None]) % DAY // HOUR
        if hours.min() < hours.max():
            yield by_group(
                "absolute error by hour of the day", errors.ravel(), hours.ravel(), [f"{hour}:00" for hour in range(24)]
            )
            return
    season = cast(ForecastOptions, source.options).season
    if season > 1:
        names = [str(place + 1) for place in range(season)]
        yield by_group("absolute error by place in the season", errors.ravel(), (steps % season).ravel(), names)
