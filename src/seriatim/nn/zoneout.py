"""Zoneout: at each step some units keep their old value, chosen at random (Krueger 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from torch import Tensor

from seriatim.ops.bernoulli import bernoulli_mask
from seriatim.ops.recurrence import State

Zoneout: TypeAlias = float | tuple[float, float]
"""The probability that a unit keeps its old value: part number for all states, or (for h, for c)."""


def zoneout_masks(state: State, steps: int, rates: Sequence[float], training: bool) -> tuple[Tensor | None, ...]:
    """The zoneout masks of each state [B, ·] for a walk of ``steps`` steps; ``rates`` are the probabilities.

    In training a mask has a boolean for each step and unit [T, B, ·], True where the old value is kept. Outside
    training it is the mean [1, 1, ·]. A state without zoneout gets None.
    """
    if not any(rates):
        return ()
    return tuple(
        None
        if rate == 0
        else bernoulli_mask(rate, (steps, *part.shape), part)
        if training
        else part.new_full((1, 1, part.shape[-1]), rate)
        for part, rate in zip(state, rates, strict=True)
    )
