"""Zoneout: now and then a unit keeps its old value for a step (Krueger 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from seriatim.ops.bernoulli import bernoulli_mask
from seriatim.ops.recurrence import State

Zoneout: TypeAlias = float | tuple[float, float]
"""The share that is kept of h, or (of h, of c); one number counts for every state."""


def shares(state: State, steps: int, rates: Sequence[float], training: bool) -> tuple[Tensor | None, ...]:
    """What a walk of ``steps`` steps keeps of each state [B, ·] when ``rates`` says how much on average.

    In training a draw, a boolean, for each unit and step [T, B, ·], afterwards the mean [1, 1, ·].
    """
    if not any(rates):
        return ()
    return tuple(
        None
        if rate == 0
        else bernoulli_mask(rate, (steps, *one.shape), one)
        if training
        else one.new_full((1, 1, one.shape[-1]), rate)
        for one, rate in zip(state, rates, strict=True)
    )
