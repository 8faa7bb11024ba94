"""Calibration: whether predictions with probability p are right in a share p of the cases.

Predictions are sorted into bins by their confidence, the probability of the likeliest class (Guo 2017):

    ECE = Σ_bins n_bin / n · |accuracy_bin - mean confidence_bin|          (1)

A calibrated model has an ECE above 0 too, since n is finite. ``chance`` is the ECE at the 95 % quantile if each
prediction were right with exactly its probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

BINS = 10
DRAWS = 200


@dataclass(frozen=True)
class Calibration:
    """Confidence and accuracy by bin."""

    confidence: tuple[float, ...]
    """Mean confidence of each bin that is not empty."""
    accuracy: tuple[float, ...]
    """Share of right predictions in it."""
    error: float
    """ECE."""
    chance: float
    """The ECE that a calibrated model exceeds in 5 % of cases."""

    @property
    def is_overconfident(self) -> bool:
        """Whether the model is right less often than it says, on average over the bins."""
        return sum(self.confidence) > sum(self.accuracy)


def calibration(probabilities: Array, labels: Array, *, seed: int = 0) -> Calibration:
    """Measure the calibration of class probabilities [N, K] for true classes [N].

    >>> always_sure = np.tile([1.0, 0.0], (100, 1))
    >>> calibration(always_sure, np.arange(100) % 2).error
    0.5
    """
    confidence = probabilities.max(1)
    is_right = probabilities.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    used = [number for number in range(BINS) if (bins == number).any()]
    generator = np.random.default_rng(seed)
    draws = [_error(confidence, generator.random(len(labels)) < confidence, bins) for _ in range(DRAWS)]
    return Calibration(
        tuple(float(confidence[bins == number].mean()) for number in used),
        tuple(float(is_right[bins == number].mean()) for number in used),
        _error(confidence, is_right, bins),
        float(np.quantile(draws, 0.95)),
    )


def class_calibrations(probabilities: Array, labels: Array) -> list[float]:
    """Return equation (1) for each class [K]: its probability against whether it is the true class.

    >>> always_sure = np.tile([1.0, 0.0], (100, 1))
    >>> class_calibrations(always_sure, np.zeros(100, int))
    [0.0, 0.0]
    """
    errors = []
    for number, stated in enumerate(probabilities.T):
        bins = np.minimum((stated * BINS).astype(int), BINS - 1)
        errors.append(_error(stated, labels == number, bins))
    return errors


def _error(confidence: Array, is_right: Array, bins: Array) -> float:
    """Equation (1)."""
    differences = np.bincount(bins, is_right - confidence, minlength=BINS)
    return float(np.abs(differences).sum() / len(bins))
