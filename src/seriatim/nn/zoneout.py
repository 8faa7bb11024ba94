"""Zoneout: now and then a unit keeps its old value for a step (Krueger 2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from seriatim.ops.recurrence import State

Zoneout: TypeAlias = float | tuple[float, float]
"""The share that is kept of h, or (of h, of c); one number counts for every state."""


def drawn(rate: float, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Ones with probability ``rate``, to 1/65536, and zeros else, of the kind of ``like``.

    Four draws are made of each random number of 64 bits: a third of what ``bernoulli_`` takes on a CPU.
    """
    count, below = math.prod(shape), min(max(round(rate * 2**16), 1), 2**16)
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    found = like.new_empty(count)
    torch.le(bits.view(torch.int16)[:count], below - 2**15 - 1, out=found)
    return found.view(shape)


def shares(state: State, steps: int, rates: Sequence[float], training: bool) -> tuple[Tensor | None, ...]:
    """What a walk of ``steps`` steps keeps of each state [B, ·] when ``rates`` says how much on average.

    In training a draw of 0 or 1 for each unit and step [T, B, ·], afterwards the mean [1, 1, ·].
    """
    if not any(rates):
        return ()
    return tuple(
        None
        if rate == 0
        else drawn(rate, (steps, *one.shape), one)
        if training
        else one.new_full((1, 1, one.shape[-1]), rate)
        for one, rate in zip(state, rates, strict=True)
    )
