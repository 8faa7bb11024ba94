"""Windows over series: the history that the model reads and the future that it forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float32]
Indices = NDArray[np.int64]


@final
class Windows:
    """All (series, origin) pairs, numbered series by series and in order of time.

    The history of origin t is ``values[t - lookback : t]``, its future ``values[t : t + horizon]``. Values are
    copied only for a batch, and memory does not grow with the number of windows.
    """

    def __init__(
        self, series: Sequence[NDArray[Any]], lookback: int, horizon: int, spans: Sequence[tuple[int, int]]
    ) -> None:
        """``series``: values ``[T, C]``; ``spans``: for each series the range of its origins.

        A series with an empty span has no window. Raises ``ValueError`` for a span whose windows do not fit.
        """
        if len(series) != len(spans):
            raise ValueError(f"spans: {len(spans)} for {len(series)} series")
        for number, (values, (start, stop)) in enumerate(zip(series, spans, strict=True)):
            if start < stop and not (lookback <= start and stop - 1 + horizon <= len(values)):
                raise ValueError(
                    f"spans: series {number} of {len(values)} steps has no room for origins {start} to {stop - 1} "
                    f"with lookback {lookback} and horizon {horizon}"
                )
        self.series = list(series)
        self.lookback, self.horizon = lookback, horizon
        self._starts = np.array([start for start, _ in spans], dtype=np.int64)
        self._ends = np.cumsum([max(stop - start, 0) for start, stop in spans], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, indices: ArrayLike) -> tuple[Indices, Indices]:
        """Return series and origin of windows ``indices``. Raises ``IndexError`` for an index out of range."""
        windows = np.asarray(indices, dtype=np.int64)
        if windows.size and not (windows.min() >= 0 and windows.max() < len(self)):
            raise IndexError(f"window {windows.min()} to {windows.max()}, wanted 0 to {len(self) - 1}")
        series = np.searchsorted(self._ends, windows, side="right")
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), self._ends])[series]
        return series, self._starts[series] + windows - offsets

    def batch(self, indices: ArrayLike) -> tuple[Float, Float]:
        """Return histories ``[L, B, C]`` and futures ``[h, B, C]``, time-major, float32."""
        series, origins = self.locate(indices)
        channels = self.series[0].shape[1]
        history = np.empty((self.lookback, len(series), channels), dtype=np.float32)
        future = np.empty((self.horizon, len(series), channels), dtype=np.float32)
        for row, (index, origin) in enumerate(zip(series.tolist(), origins.tolist(), strict=True)):
            values = self.series[index]
            history[:, row] = values[origin - self.lookback : origin]
            future[:, row] = values[origin : origin + self.horizon]
        return history, future
