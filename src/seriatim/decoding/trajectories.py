"""Samples futures from the one-step distribution of a recurrent forecaster (a latent autoregressive model).

    h_t = g(h_{t-1}, x_{t-1}),   x_t ~ N(mean(h_t), scale(h_t)²), channels independent

A drawn x_t is the next input; this gives sampled trajectories, and their quantiles are the forecast. With observed
values as input, the chain rule gives their likelihood.
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
    """One step of a forecaster over S rows."""

    def __call__(self, values: Floats, state: State, /) -> tuple[tuple[Floats, Floats], State]:
        """Read ``values`` [S, C]; return mean and scale [S, C] of the next values, and the next state."""


def trajectories(
    step: GaussianStep[State],
    state: State,
    first: npt.ArrayLike,
    horizon: int,
    samples: int,
    generator: np.random.Generator,
) -> Floats:
    """Draw ``samples`` futures of ``horizon`` steps after ``first``; float64 [horizon, S, C].

    ``first`` is the last observed value, [C] for all samples or [S, C]; ``state`` is the state before
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
        mean, scale, state = _checked_step(step, values, state)
        path[...] = values = mean + scale * generator.normal(size=values.shape)
    return paths


def joint_log_probability(
    step: GaussianStep[State], state: State, first: npt.ArrayLike, values: npt.ArrayLike
) -> Floats:
    """Return log p(x_1 … x_T | ``first``, state before it), in nats, per row: float64 [S].

    ``first`` [S, C], ``values`` [T, S, C]. Raises ``DataError`` for shapes or scales that do not fit, and
    for a scale of 0, which has no density.
    """
    previous, observed = np.asarray(first, np.float64), np.asarray(values, np.float64)
    if observed.ndim != 3 or previous.shape != observed.shape[1:]:
        raise DataError(f"first, values: got shapes {previous.shape} and {observed.shape}, wanted [S, C] and [T, S, C]")
    total = np.zeros(len(previous))
    for value in observed:
        mean, scale, state = _checked_step(step, previous, state)
        if (scale == 0).any():
            raise DataError("scale: got 0, wanted more, to have a density")
        shocks = (value - mean) / scale
        total -= (0.5 * shocks**2 + np.log(scale) + 0.5 * math.log(2 * math.pi)).sum(axis=1)
        previous = value
    return total


def quantiles(paths: npt.ArrayLike, levels: Sequence[float] = QUANTILES) -> Floats:
    """Return quantiles [horizon, C, Q] over the samples of ``paths`` [horizon, S, C], interpolated linearly."""
    samples = np.asarray(paths, np.float64)
    if samples.ndim != 3 or samples.shape[1] == 0:
        raise DataError(f"paths: got shape {samples.shape}, wanted [horizon, S, C] with at least 1 sample")
    for level in levels:
        if not 0.0 <= level <= 1.0:
            raise UsageError(f"levels: got {level}, wanted 0 to 1")
    return np.moveaxis(np.quantile(samples, np.asarray(levels), axis=1), 0, -1)


def sorted_quantiles(crossing: npt.ArrayLike) -> Floats:
    """Sort quantiles [..., Q] of ascending levels in ascending order.

    Sorting never moves an estimate away from the true quantiles (Chernozhukov, Fernández-Val & Galichon 2010).
    """
    return np.sort(np.asarray(crossing, np.float64), axis=-1)


def _checked_step(step: GaussianStep[State], values: Floats, state: State) -> tuple[Floats, Floats, State]:
    """Take one step and check its result."""
    (mean, scale), state = step(values, state)
    mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
    for name, array in (("mean", mean), ("scale", scale)):
        if array.shape != values.shape:
            raise DataError(f"{name}: the step gave shape {array.shape}, wanted {values.shape}")
        if not np.isfinite(array).all():
            raise DataError(f"{name}: the step gave a number that is not finite")
    if (scale < 0).any():
        raise DataError(f"scale: the step gave {scale.min()}, wanted at least 0")
    return mean, scale, state
