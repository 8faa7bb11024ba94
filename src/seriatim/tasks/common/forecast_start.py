"""The forecasts that a network starts from: those of a fitted AR, or the seasonal naive ones."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from seriatim.data.windows import Windows
from seriatim.models.forecaster import DirectForecaster, Forecaster, WindowBatch
from seriatim.models.naive.autoregressive import Autoregressive, LinearForecast
from seriatim.notation import QUANTILES
from seriatim.tasks.common.forecast_data import ForecastCodec
from seriatim.tasks.common.rolling_origins import Rolling
from seriatim.tasks.options import ForecastOptions

Array = np.ndarray[Any, Any]
MEDIAN = QUANTILES.index(0.5)

JUDGED_WINDOWS = 4096
"""The most windows of a part that the choice of a start looks at."""
BATCH = 512


@final
class WindowReader:
    """Reads batches of windows of a part, with the forecasts that ``network`` starts from."""

    def __init__(
        self, network: Forecaster[Any], codec: ForecastCodec, part: Rolling, horizon: int, *, has_future: bool = True
    ) -> None:
        """With ``has_future=False`` the windows end at their origins, and ``future`` is empty."""
        spans = [(origins.start, origins.stop) for origins in part.origins]
        self._windows = Windows(part.scaled, codec.lookback, horizon if has_future else 0, spans)
        fitted = network.fitted_start()
        self._start = None if fitted is None else _StartForecasts(fitted, codec, part, horizon)

    def __len__(self) -> int:
        return len(self._windows)

    def batch(self, indices: ArrayLike) -> WindowBatch:
        """Return the windows of these numbers."""
        history, future = self._windows.batch(indices)
        start = None if self._start is None else self._start.at(*self._windows.locate(indices))
        return WindowBatch(torch.from_numpy(history), torch.from_numpy(future), start)


@final
class _StartForecasts:
    """The forecasts of a fitted AR at the origins of a part, in the scaled units of each series."""

    def __init__(self, fitted: Autoregressive, codec: ForecastCodec, part: Rolling, horizon: int) -> None:
        self._fitted, self._codec, self._part, self._horizon = fitted, codec, part, horizon
        self._linear: dict[int, LinearForecast] = {}

    def at(self, series: Array, origins: Array) -> Tensor:
        """Return the quantiles [N, horizon, targets, Q] at the origins of the series of these indices, float32 [N]."""
        targets = len(self._codec.targets)
        start = np.empty((len(series), self._horizon, targets, len(QUANTILES)), np.float32)
        for index in np.unique(series).tolist():
            values = self._part.series[index].values[:, :targets]
            rows = series == index
            scaler = self._codec.scaler(self._part.series[index], self._part.train_ends[index])
            quantiles = self._of(index, values).quantiles(values, origins[rows])
            start[rows] = (quantiles - scaler.mean[:targets, None]) / scaler.scale[:targets, None]
        return torch.from_numpy(start)

    def _of(self, index: int, values: Array) -> LinearForecast:
        if index not in self._linear:
            history = values[: self._part.origins[index].start]
            self._linear[index] = self._fitted.linear(self._part.positions[index], history, self._horizon)
        return self._linear[index]


def choose_start(
    network: DirectForecaster, options: ForecastOptions, codec: ForecastCodec, train: Rolling, valid: Rolling
) -> None:
    """Fit AR(τ) to the training part. ``network`` starts from it if ``start`` is ``ar``, or if it has smaller errors.

    The judge is the mean absolute error of the medians over windows of the validation part and of the training part:
    the validation part often has a single window, and an AR has too few coefficients to learn many windows by heart. A
    network that has a start keeps it.
    """
    start, targets = network.start, len(codec.targets)
    if start is None or start.is_used:
        return
    fitted = start.new()
    ends = zip(train.series, train.train_ends, strict=True)
    fitted.fit([series.values[:end, :targets] for series, end in ends])
    naive_error = _error(network, options, codec, (train, valid))
    start.use(fitted)
    if options.start == "auto" and _error(network, options, codec, (train, valid)) >= naive_error:
        start.is_used.fill_(False)


def _error(
    network: DirectForecaster, options: ForecastOptions, codec: ForecastCodec, parts: tuple[Rolling, ...]
) -> float:
    """Return the mean absolute error of the forecast that ``network`` adds to, in the deviations of each series."""
    total, count, targets = 0.0, 0, len(codec.targets)
    for part in parts:
        windows = WindowReader(network, codec, part, options.horizon)
        indices = np.unique(np.linspace(0, len(windows) - 1, JUDGED_WINDOWS).astype(np.int64))
        for first in range(0, len(indices), BATCH):
            batch = windows.batch(indices[first : first + BATCH])
            start = network.anchor(batch.history) if batch.start is None else batch.start[..., MEDIAN]
            error = batch.future[..., :targets].transpose(0, 1) - start
            total += float(error.abs().double().mean((1, 2)).sum())
        count += len(indices)
    return total / count
