"""Calibration errors of predictions whose calibration is known."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.insight.calibration import calibration


def predictions(count: int, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes and classes drawn from them; ``sharpness`` changes the stated logits afterwards."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1.5, count)
    labels = (generator.random(count) > 1 / (1 + np.exp(-logits))).astype(int)
    stated = 1 / (1 + np.exp(-sharpness * logits))
    return np.stack([stated, 1 - stated], 1), labels


def test_calibrated_predictions_stay_within_chance() -> None:
    """5 % of 40 sets may exceed the bound; 6 or more would happen once in 70 times."""
    results = [calibration(*predictions(500, seed)) for seed in range(40)]
    assert sum(result.error > result.chance for result in results) <= 5


@pytest.mark.parametrize(("sharpness", "is_overconfident"), [(4.0, True), (0.25, False)])
def test_wrong_confidence_is_found_with_its_sign(sharpness: float, is_overconfident: bool) -> None:
    result = calibration(*predictions(2000, 0, sharpness))
    assert result.error > 2 * result.chance
    assert result.is_overconfident is is_overconfident


def test_error_is_the_weighted_gap() -> None:
    """Eight predictions of 0.75, six of them right, and two of 0.95, one right: ECE = 0.2 · 0.45."""
    confidence = np.array([0.75] * 8 + [0.95] * 2)
    labels = np.array([0] * 6 + [1] * 2 + [0, 1])
    result = calibration(np.stack([confidence, 1 - confidence], 1), labels)
    assert result.error == pytest.approx(0.2 * 0.45)
    assert result.confidence == pytest.approx((0.75, 0.95))
    assert result.accuracy == pytest.approx((0.75, 0.5))
