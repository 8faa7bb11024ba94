"""Windows over series: what the model sees, and what it is to forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float32]
Indices = NDArray[np.int64]


@final
class Windows:
    """Every (series, origin) pair, by number, series by series and in order of time.

    The history of origin t is ``values[t - lookback : t]``, its future ``values[t : t + horizon]``. Nothing is copied
    before a batch is asked for, and nothing grows with the number of windows.
    """

    def __init__(
        self, series: Sequence[NDArray[Any]], lookback: int, horizon: int, spans: Sequence[tuple[int, int]]
    ) -> None:
        """``series``: values ``[T, C]``; ``spans``: each one's origins, from the first up to but without the second.

        An empty span leaves its series out. Raises ``ValueError`` for a span whose windows do not fit.
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
        """Series and origin of windows ``indices``. Raises ``IndexError`` for one that does not exist."""
        wanted = np.asarray(indices, dtype=np.int64)
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise IndexError(f"window {wanted.min()} to {wanted.max()}, wanted 0 to {len(self) - 1}")
        series = np.searchsorted(self._ends, wanted, side="right")
        before = np.concatenate([np.zeros(1, dtype=np.int64), self._ends])[series]
        return series, self._starts[series] + wanted - before

    def batch(self, indices: ArrayLike) -> tuple[Float, Float]:
        """Histories ``[L, B, C]`` and futures ``[h, B, C]``, time-major, float32."""
        series, origins = self.locate(indices)
        channels = self.series[0].shape[1]
        history = np.empty((self.lookback, len(series), channels), dtype=np.float32)
        future = np.empty((self.horizon, len(series), channels), dtype=np.float32)
        for place, (one, origin) in enumerate(zip(series.tolist(), origins.tolist(), strict=True)):
            values = self.series[one]
            history[:, place] = values[origin - self.lookback : origin]
            future[:, place] = values[origin : origin + self.horizon]
        return history, future
