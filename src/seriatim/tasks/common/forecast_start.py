"""The forecasts that a network starts from: those of a fitted AR, or the seasonal naive ones."""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from seriatim.data.windows import Windows
from seriatim.models.forecaster import DirectForecaster, Forecaster, WindowBatch
from seriatim.models.naive.autoregressive import Autoregressive, LinearForecast
from seriatim.models.naive.deadline import Deadline
from seriatim.notation import QUANTILES
from seriatim.tasks.common.baseline_time import start_seconds
from seriatim.tasks.common.forecast_data import ForecastCodec
from seriatim.tasks.common.rolling_origins import Rolling
from seriatim.tasks.options import ForecastOptions

Array = np.ndarray[Any, Any]
MEDIAN = QUANTILES.index(0.5)

JUDGED_WINDOWS = 4096
"""The most windows of a part that the choice of a start looks at."""
BATCH = 512
FIT_SHARE = 0.5
"""The share of the time of a start in which it is fitted. In the rest it is compared."""


@final
class WindowReader:
    """Reads batches of windows of a part, with the forecasts that ``network`` starts from."""

    def __init__(
        self, network: Forecaster[Any], codec: ForecastCodec, part: Rolling, horizon: int, *, has_future: bool = True
    ) -> None:
        """With ``has_future=False`` the windows end at their origins, and ``future`` is empty."""
        spans = [(origins.start, origins.stop) for origins in part.origins]
        self._windows = Windows(part.scaled, codec.lookback, horizon if has_future else 0, spans)
        self._network, self._of_part = network, (codec, part, horizon)

    @cached_property
    def _start(self) -> _StartForecasts | None:
        """The start of the network when a batch is first read: a resumed training restores it after its plan."""
        fitted = self._network.fitted_start()
        return None if fitted is None else _StartForecasts(fitted, *self._of_part)

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
) -> str:
    """Fit AR(τ) to the training part. ``network`` starts from it if ``start`` is ``ar``, or if it has smaller errors.

    The judge is the mean absolute error of the medians over windows of the validation part and of the training part:
    the validation part often has few windows, and an AR has too few coefficients to learn many windows by heart. A
    network that has a start keeps it. Returns what the time allowed (``start_seconds``), in words; mostly empty.
    """
    start, targets = network.start, len(codec.targets)
    if start is None or start.is_used:
        return ""
    deadline, fitted = Deadline(start_seconds(options)), start.new()
    ends = zip(train.series, train.train_ends, strict=True)
    values = [series.values[:end, :targets] for series, end in ends]
    limited_to = fitted.fit(values, seconds=FIT_SHARE * deadline.seconds)
    start.use(fitted)
    if options.start == "auto":
        naive_error, error = _errors(network, options, codec, (valid, train), deadline)
        if error >= naive_error:
            start.is_used.fill_(False)
            return ""
    return limited_to and f"{limited_to} for the AR that it starts from"


def _errors(
    network: DirectForecaster,
    options: ForecastOptions,
    codec: ForecastCodec,
    parts: tuple[Rolling, ...],
    deadline: Deadline,
) -> tuple[float, float]:
    """Return the mean absolute errors of the seasonal naive forecast and of the start of ``network``.

    They are in the deviations of each series, over as many windows of each part as the time allows.
    """
    totals, count, targets = np.zeros(2), 0, len(codec.targets)
    for part in parts:
        windows = WindowReader(network, codec, part, options.horizon)
        indices = np.unique(np.linspace(0, len(windows) - 1, JUDGED_WINDOWS).astype(np.int64))
        indices = np.random.default_rng(0).permutation(indices)
        for first in range(0, len(indices), BATCH):
            if first and deadline.has_passed():
                break
            batch = windows.batch(indices[first : first + BATCH])
            assert batch.start is not None
            actual = batch.future[..., :targets].transpose(0, 1)
            for number, start in enumerate((network.anchor(batch.history), batch.start[..., MEDIAN])):
                totals[number] += float((actual - start).abs().double().mean((1, 2)).sum())
            count += len(actual)
    naive_error, error = totals / count
    return float(naive_error), float(error)
