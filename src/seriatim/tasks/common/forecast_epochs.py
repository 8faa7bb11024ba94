"""Epochs over the windows of a forecaster, and its loss on the validation part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seriatim.models.contract import Batch
from seriatim.models.forecaster import Forecaster
from seriatim.tasks.common.forecast_quantiles import EVALUATION_BATCH
from seriatim.tasks.common.forecast_start import WindowReader


class WindowEpoch(Sequence[Batch]):
    """The batches of one epoch: all training windows, in a new order each time."""

    def __init__(self, windows: WindowReader, size: int, seed: int, epoch: int, model: Forecaster[Any]) -> None:
        self._windows, self._size, self._model = windows, size, model
        self._order = np.random.default_rng((seed, epoch)).permutation(len(windows))

    def __len__(self) -> int:
        return -(-len(self._windows) // self._size)

    def __getitem__(self, position: Any) -> Any:
        indices = self._order[position * self._size : (position + 1) * self._size]
        return self._model.batch(self._windows.batch(indices))


def validation_loss(network: Forecaster[Any], windows: WindowReader) -> float:
    total = 0.0
    for start in range(0, len(windows), EVALUATION_BATCH):
        indices = np.arange(start, min(start + EVALUATION_BATCH, len(windows)))
        total += float(network.loss(network.batch(windows.batch(indices)), ())[0]) * len(indices)
    return total / len(windows)
