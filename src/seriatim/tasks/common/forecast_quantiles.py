"""The quantiles that a network, a naive model or a blend forecasts at the origins of a part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from seriatim.models.forecaster import Forecaster
from seriatim.models.naive.statistical import StatisticalForecaster
from seriatim.tasks.common.blend import Blend
from seriatim.tasks.common.forecast_data import ForecastCodec
from seriatim.tasks.common.forecast_start import WindowReader
from seriatim.tasks.common.rolling_origins import Rolling
from seriatim.tasks.options import ForecastOptions

Array = np.ndarray[Any, Any]
AnyForecaster = StatisticalForecaster | Forecaster[Any]

EVALUATION_BATCH = 512


def forecast_quantiles(
    model: AnyForecaster | Blend, options: ForecastOptions, codec: ForecastCodec, part: Rolling
) -> Iterator[Array]:
    """Yield for each series the quantiles ``[N, horizon, targets, Q]`` at its origins, in the data's units."""
    targets = len(codec.targets)
    if isinstance(model, Blend):
        members = (forecast_quantiles(member.model, member.options, codec, part) for member in model.members)
        for quantiles in zip(*members, strict=True):
            yield np.sort(model.mix(np.stack(quantiles)), axis=-1)
        return
    if isinstance(model, StatisticalForecaster):
        for series, origins, position in zip(part.series, part.origins, part.positions, strict=True):
            yield model.forecast(position, series.values[:, :targets], np.asarray(origins), options.horizon)
        return
    scaled = _network_quantiles(model, options, codec, part)
    starts = np.cumsum([0, *(len(origins) for origins in part.origins)])
    for index, series in enumerate(part.series):
        scaler = codec.scaler(series, part.train_ends[index])
        mean, scale = scaler.mean[:targets, None], scaler.scale[:targets, None]
        yield scaled[starts[index] : starts[index + 1]].astype(np.float64) * scale + mean


def _network_quantiles(model: Forecaster[Any], options: ForecastOptions, codec: ForecastCodec, part: Rolling) -> Array:
    """Return the scaled quantiles of all windows of all series, in order."""
    model.eval()
    windows = WindowReader(model, codec, part, options.horizon, has_future=False)
    generator = np.random.default_rng(options.seed)
    batches = []
    with torch.no_grad():
        for start in range(0, len(windows), EVALUATION_BATCH):
            indices = np.arange(start, min(start + EVALUATION_BATCH, len(windows)))
            batch = windows.batch(indices)
            batches.append(model.quantiles(batch.history, generator, batch.start).numpy())
    return np.concatenate(batches)
