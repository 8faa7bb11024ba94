"""Mixtures of the predictions of several models.

(1)  P(x) = Σ_m w_m P_m(x)                  w_m ≥ 0, Σ w_m = 1; Jelinek & Mercer 1980, Mikolov 2010
(2)  P(x) = softmax(Σ_m a_m log P_m(x))     a_m ≥ 0; a product of experts (Heskes 1998)
(3)  q_h  = Σ_m w_{m,h} q_{m,h}             a forecast's quantile (or mean) at horizon step h
(4)  s    = Σ_m w_m s_m                     the scores of a CRF, of tags and of their transitions: a product of experts
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

SMALLEST_CHANCE: Final = 1e-12
"""A smaller probability of a class is mixed as this."""


def mix_linear(log_chances: Array, weights: Array) -> Array:
    """Return the logarithm of (1) for log-probabilities [M, …]."""
    log_weights = np.log(weights).reshape(-1, *[1] * (log_chances.ndim - 1))
    mixed: Array = np.logaddexp.reduce(log_chances + log_weights, axis=0)
    return mixed


def mix_logits(log_chances: Array, weights: Array) -> Array:
    """Return the logarithm of (2) for log-probabilities [M, N, K]."""
    logits = np.tensordot(weights, log_chances, 1)
    normalized: Array = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    return normalized


def mix_quantiles(quantiles: Array, weights: Array) -> Array:
    """Return (3) for quantiles [M, N, H, …, Q] and w [M, H, Q]."""
    shape = [len(weights), 1, weights.shape[1], *[1] * (quantiles.ndim - 4), weights.shape[2]]
    mixed: Array = (weights.reshape(shape) * quantiles).sum(0)
    return mixed


def mix_scores(scores: Array, weights: Array) -> Array:
    """Return (4) for scores [M, …]."""
    mixed: Array = np.tensordot(weights, scores, 1)
    return mixed


MIXERS: Final[Mapping[str, Callable[[Array, Array], Array]]] = {
    "linear": mix_linear, "logits": mix_logits, "quantiles": mix_quantiles, "scores": mix_scores
}  # fmt: skip
"""The mixtures by name. Each takes the predictions [M, …] of all models, and the weights [M] or [M, H, Q]."""
