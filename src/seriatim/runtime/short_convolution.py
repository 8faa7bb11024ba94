"""The convolution over a few steps before a cell, with the last inputs as its state (``nn.short_convolution``)."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.runtime.arithmetic import Floats
from seriatim.runtime.weights import WeightFile


@final
class ShortConvolution:
    """y_t = b + Σ_{k<K} w_k ⊙ x_{t-k}, each channel by itself."""

    def __init__(self, weights: WeightFile, name: str, width: int, steps: int) -> None:
        self._weight, self._bias = weights.take(f"{name}.weight", steps, width), weights.take(f"{name}.bias", width)
        self.state_size = (steps - 1) * width

    def run(self, x: Floats, past: Floats, lengths: NDArray[np.int64] | None) -> tuple[Floats, Floats]:
        """Convolve x [T, B, C] after ``past`` [B, (K - 1)·C]; return y and the state after each row's end."""
        known, rows, width = len(self._weight) - 1, x.shape[1], x.shape[2]
        padded = np.concatenate([past.reshape(rows, known, width).transpose(1, 0, 2), x])
        y: Any = self._bias
        for back, weight in enumerate(self._weight):
            y = y + padded[known - back : known - back + len(x)] * weight
        ends = np.full(rows, len(x)) if lengths is None else lengths
        last = padded[np.arange(known) + ends[:, None], np.arange(rows)[:, None]]  # [B, K - 1, C]
        return y, np.ascontiguousarray(last).reshape(rows, -1)

    def step(self, x: Floats, past: Floats) -> tuple[Floats, Floats]:
        """Convolve one step x [B, C]."""
        y, after = self.run(x[None], past, None)
        return y[0], after
