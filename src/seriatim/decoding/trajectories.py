"""A recurrent forecaster's one-step distribution to whole futures: the latent autoregressive model, decoded.

    h_t = g(h_{t-1}, x_{t-1}),   x_t ~ N(mean(h_t), scale(h_t)²), each channel by itself

Drawing x_t, feeding it back and going on gives sampled trajectories, whose quantiles are the forecast;
feeding in what was observed gives its likelihood by the chain rule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from seriatim.errors import DataError, UsageError
from seriatim.notation import QUANTILES

Floats = npt.NDArray[np.float64]
State = TypeVar("State")


class GaussianStep(Protocol[State]):
    """One step of a forecaster over S rows at once."""

    def __call__(self, values: Floats, state: State, /) -> tuple[tuple[Floats, Floats], State]:
        """Read ``values`` [S, C]; return mean and scale [S, C] of the next, and the state after ``values``."""


def trajectories(
    step: GaussianStep[State],
    state: State,
    first: npt.ArrayLike,
    horizon: int,
    samples: int,
    generator: np.random.Generator,
) -> Floats:
    """Draw ``samples`` futures of ``horizon`` steps after ``first``; float64 [horizon, S, C].

    ``first`` is the last value observed, [C] for all samples or [S, C]; ``state`` is the state before
    it, for S rows. Raises ``UsageError`` for sizes below 1, ``DataError`` for shapes or scales that do not fit.
    """
    if horizon < 1 or samples < 1:
        raise UsageError(f"horizon, samples: got {horizon} and {samples}, wanted at least 1 of each")
    start = np.asarray(first, np.float64)
    if start.ndim == 0 or start.shape not in ((start.shape[-1],), (samples, start.shape[-1])):
        raise DataError(f"first: got shape {start.shape}, wanted [C] or [S, C] with S = {samples}")
    values: Floats = np.broadcast_to(start, (samples, start.shape[-1]))
    paths = np.empty((horizon, *values.shape))
    for path in paths:
        mean, scale, state = _ahead(step, values, state)
        path[...] = values = mean + scale * generator.normal(size=values.shape)
    return paths


def joint_log_probability(
    step: GaussianStep[State], state: State, first: npt.ArrayLike, values: npt.ArrayLike
) -> Floats:
    """log p(x_1 … x_T given ``first`` and the state before it), in nats, per row: float64 [S].

    ``first`` [S, C], ``values`` [T, S, C]. Raises ``DataError`` for shapes or scales that do not fit, and
    for a scale of 0, under which there is no density.
    """
    before, observed = np.asarray(first, np.float64), np.asarray(values, np.float64)
    if observed.ndim != 3 or before.shape != observed.shape[1:]:
        raise DataError(f"first, values: got shapes {before.shape} and {observed.shape}, wanted [S, C] and [T, S, C]")
    total = np.zeros(len(before))
    for value in observed:
        mean, scale, state = _ahead(step, before, state)
        if (scale == 0).any():
            raise DataError("scale: got 0, wanted more, to have a density")
        shocks = (value - mean) / scale
        total -= (0.5 * shocks**2 + np.log(scale) + 0.5 * math.log(2 * math.pi)).sum(axis=1)
        before = value
    return total


def quantiles(paths: npt.ArrayLike, levels: Sequence[float] = QUANTILES) -> Floats:
    """Quantiles over the samples of ``paths`` [horizon, S, C], interpolated linearly: [horizon, C, Q]."""
    drawn = np.asarray(paths, np.float64)
    if drawn.ndim != 3 or drawn.shape[1] == 0:
        raise DataError(f"paths: got shape {drawn.shape}, wanted [horizon, S, C] with at least 1 sample")
    for level in levels:
        if not 0.0 <= level <= 1.0:
            raise UsageError(f"levels: got {level}, wanted 0 to 1")
    return np.moveaxis(np.quantile(drawn, np.asarray(levels), axis=1), 0, -1)


def sorted_quantiles(crossing: npt.ArrayLike) -> Floats:
    """Put quantiles [..., Q] of ascending levels into ascending order.

    Sorting never moves an estimate away from the true quantiles (Chernozhukov, Fernández-Val & Galichon 2010).
    """
    return np.sort(np.asarray(crossing, np.float64), axis=-1)


def _ahead(step: GaussianStep[State], values: Floats, state: State) -> tuple[Floats, Floats, State]:
    """Take one step and check what came back."""
    (mean, scale), state = step(values, state)
    mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
    for name, got in (("mean", mean), ("scale", scale)):
        if got.shape != values.shape:
            raise DataError(f"{name}: the step gave shape {got.shape}, wanted {values.shape}")
        if not np.isfinite(got).all():
            raise DataError(f"{name}: the step gave a number that is not finite")
    if (scale < 0).any():
        raise DataError(f"scale: the step gave {scale.min()}, wanted at least 0")
    return mean, scale, state
