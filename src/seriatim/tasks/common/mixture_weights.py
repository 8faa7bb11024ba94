"""The weights of a mixture of predictions (``decoding/mixing.py``), fitted on the validation part.

(1) is fitted by EM, (2) and (4) by L-BFGS, all by the negative log-likelihood. (3) is fitted by the quantile loss, with
exponentiated gradients (Kivinen & Warmuth 1997), for a mean by the squared error. All losses are convex in the weights.

A few windows are too little evidence for that. Then the weights are inverse powers of the losses, as inverse variances
are (Bates & Granger 1969): averages of forecasts are hard to beat (Makridakis 2020, M4), but not with bad ones in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from seriatim.decoding.mixing import mix_logits

Array = np.ndarray[Any, Any]

SMALLEST: Final = 0.02
"""A model with a smaller weight is left out."""
EM_STEPS: Final = 500
GRADIENT_STEPS: Final = 300
SCORE_STEPS: Final = 30
LARGEST_EXPONENT: Final = 10.0
POWER: Final = 5.0
LARGEST_RATIO: Final = 1.25
"""``recipes/few_windows.py`` chose them (docs/defaults.md)."""
ROWS: Final = 1000
"""The largest number of forecasts that (3) is fitted on; they are spread evenly over the validation part."""


def linear_weights(log_chances: Array) -> Array:
    """Return w [M] of (1) for the log-probability [M, N] that each model gives to what occurred."""
    chances = np.exp(log_chances - log_chances.max(0))
    weights = np.full(len(chances), 1 / len(chances))
    for _ in range(EM_STEPS):
        shares = weights[:, None] * chances
        new: Array = (shares / shares.sum(0)).mean(1)
        if np.abs(new - weights).max() < 1e-6:
            return new
        weights = new
    return weights


def logit_weights(log_chances: Array, labels: Array) -> Array:
    """Return a [M] of (2) for log-probabilities [M, N, K] and classes [N]."""
    from scipy.optimize import minimize  # slow to import

    rows = np.arange(len(labels))

    def loss(weights: Array) -> tuple[float, Array]:
        mixed = mix_logits(log_chances, weights)
        expected = (log_chances * np.exp(mixed)).sum(2)
        gradient = (expected - log_chances[:, rows, labels]).mean(1)
        return -float(mixed[rows, labels].mean()), gradient

    start = np.full(len(log_chances), 1 / len(log_chances))
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, LARGEST_EXPONENT)] * len(start))
    weights: Array = optimum.x
    return weights


def score_weights(tables: Array, losses: Callable[[torch.Tensor], torch.Tensor]) -> Array:
    """Return w [M] of (4) for tables of scores [M, R, K], and the function from a table to the loss [N] of each row."""
    from scipy.optimize import minimize  # slow to import

    def loss(weights: Array) -> tuple[float, Array]:
        leaf = torch.from_numpy(weights).requires_grad_()
        total = losses(torch.tensordot(leaf, torch.from_numpy(tables), 1)).mean()
        (gradient,) = torch.autograd.grad(total, leaf)
        return total.item(), gradient.numpy()

    start = np.full(len(tables), 1 / len(tables))
    bounds = [(0.0, LARGEST_EXPONENT)] * len(start)
    optimum = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": SCORE_STEPS})
    weights: Array = optimum.x
    return weights


def quantile_weights(quantiles: Array, actual: Array, observed: Array, levels: Array, *, pooled: bool) -> Array:
    """Return w [M, H, Q] of (3) for quantiles [M, N, H, Q], values [N, H] and where they were observed.

    A level [Q] of NaN stands for a mean. ``pooled`` gives all horizon steps the same weights.
    """
    step = -(-quantiles.shape[1] // ROWS)
    quantiles, actual, observed = quantiles[:, ::step], actual[::step], observed[::step]
    counts = np.maximum(observed.sum(0, keepdims=True), 1)
    share = np.where(observed, 1 / counts, 0.0)[..., None]  # [N, H, 1]
    weights = np.full((len(quantiles), *quantiles.shape[2:]), 1 / len(quantiles))
    best, lowest = weights, np.full(weights.shape[1:], np.inf)
    largest = np.full(weights.shape[1:], 1e-12)  # of the gradients so far, so that a step does not depend on the units
    for number in range(GRADIENT_STEPS):
        error = actual[..., None] - (weights[:, None] * quantiles).sum(0)
        losses = (quantile_loss(error, levels) * share).sum(0)
        slope = np.where(np.isnan(levels), -2 * error, np.where(error > 0, -levels, 1 - levels)) * share
        gradient = (slope * quantiles).sum(1)
        if pooled:
            losses = np.broadcast_to(losses.mean(0), losses.shape)
            gradient = np.broadcast_to(gradient.mean(1, keepdims=True), gradient.shape)
        best = np.where(losses < lowest, weights, best)
        lowest = np.minimum(losses, lowest)
        gradient = gradient - (weights * gradient).sum(0)
        largest = np.maximum(largest, np.abs(gradient).max(0))
        weights = weights * np.exp(-gradient / largest / np.sqrt(number + 1))
        weights = weights / weights.sum(0)
    return best


def loss_weights(losses: Array, *, power: float = POWER, largest_ratio: float = LARGEST_RATIO) -> Array:
    """Return w [M] from the mean quantile loss [M] of each model, in proportion to loss^-``power``.

    A model whose loss is more than ``largest_ratio`` times the smallest has the weight 0, and so has one with a weight
    below ``SMALLEST``.

    >>> loss_weights(np.array([1.0, 1.2, 3.0])).round(3)
    array([0.713, 0.287, 0.   ])
    """
    losses = np.maximum(np.nan_to_num(losses, nan=np.inf), np.finfo(np.float64).tiny)
    best = losses.min()
    ratio = losses / best if np.isfinite(best) else np.ones_like(losses)
    weights = np.where(ratio <= largest_ratio, ratio**-power, 0.0)
    weights = np.where(weights < SMALLEST * weights.sum(), 0.0, weights)
    normalized: Array = weights / weights.sum()
    return normalized


def quantile_loss(error: Array, levels: Array) -> Array:
    """Return the loss [..., Q] of errors (value - quantile). A level of NaN stands for a mean, with squared errors."""
    pinball = np.maximum(levels * error, (levels - 1) * error)
    return np.where(np.isnan(levels), error**2, pinball)


def without_small(weights: Array) -> Array:
    """Return which models have a weight that counts, bool [M]."""
    means = weights.reshape(len(weights), -1).mean(1)
    keep: Array = means >= SMALLEST
    return keep
