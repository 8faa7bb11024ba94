"""The majority classifier: the share of each class in the training part (ZeroR; Witten & Frank 1999)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np


@final
class Majority:
    """Predicts the class frequencies of the training part for every sequence, so it chooses the commonest class."""

    def __init__(self, classes: int) -> None:
        self.share = np.full(classes, 1.0 / classes)

    def fit(self, labels: np.ndarray[Any, Any]) -> None:
        """Count ``labels`` [N]."""
        counts = np.bincount(labels, minlength=len(self.share))
        self.share = counts / counts.sum()

    def probabilities(self, count: int) -> np.ndarray[Any, Any]:
        """Return ``[count, K]`` with equal rows."""
        return np.tile(self.share, (count, 1))

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        return {"share": self.share}

    def load_state_dict(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it has another number of classes."""
        if state["share"].shape != self.share.shape:
            raise ValueError(f"share: got {state['share'].shape}, wanted {self.share.shape}")
        self.share = state["share"]

    @property
    def parameters_count(self) -> int:
        return self.share.size
