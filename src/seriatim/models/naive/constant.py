"""The constant regression: the mean and quantiles of the training targets.

The mean minimises the squared error, and a quantile the quantile loss (Koenker & Bassett 1978), of all constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from seriatim.notation import QUANTILES

Array = np.ndarray[Any, Any]


@final
class ConstantRegression:
    """Predicts the mean and quantiles of the training part for every sequence."""

    def __init__(self) -> None:
        self.values: Array = np.zeros(1 + len(QUANTILES))
        """[1 + Q] float64: the mean, then the quantiles."""

    def fit(self, targets: Array) -> None:
        """Take the values from ``targets`` [N]."""
        self.values = np.array([targets.mean(), *np.quantile(targets, QUANTILES)])

    def predictions(self, count: int) -> Array:
        """Return ``[count, 1 + Q]`` with equal rows."""
        return np.tile(self.values, (count, 1))

    def state_dict(self) -> dict[str, Array]:
        return {"values": self.values}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it has other quantiles."""
        if state["values"].shape != self.values.shape:
            raise ValueError(f"values: got {state['values'].shape}, wanted {self.values.shape}")
        self.values = state["values"]

    @property
    def parameters_count(self) -> int:
        return self.values.size
