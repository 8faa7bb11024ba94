"""What a cell carries beside h, as the engine takes it: one tensor [B, W], for an sLSTM c, n and m side by side."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import torch
from torch import Tensor

from seriatim.kernels.walk import Walk
from seriatim.spec import CellSpec

State: TypeAlias = tuple[Tensor, ...]


def joined(state: State) -> State:
    """h and c, of the states of a cell; of a cell of one or two they are these."""
    return state if len(state) < 3 else (state[0], torch.cat(state[1:], dim=-1))


def apart(spec: CellSpec, state: State) -> State:
    """And back: views, in the order of ``spec.states``."""
    return state if len(state) == len(spec.states) else (state[0], *pieces(spec, state[1]))


def pieces(spec: CellSpec, c: Tensor) -> State:
    """The states beside h, of c of any leading axes."""
    count = len(spec.states) - 1
    width = c.shape[-1] // count
    return tuple([c.narrow(-1, at * width, width) for at in range(count)])


def joined_shares(walk: Walk[Tensor]) -> Walk[Tensor]:
    """A walk whose zoneout is for ``joined`` states."""
    of_h, *others = walk.zoneout or (None,)
    present = [one for one in others if one is not None]
    if len(others) < 2:
        return walk
    if not present:
        return dataclasses.replace(walk, zoneout=(of_h, None))
    shape = torch.broadcast_shapes(*[one.shape for one in present])  # type: ignore[no-untyped-call]
    same = [present[0].new_zeros(shape) if one is None else one.expand(shape) for one in others]
    return dataclasses.replace(walk, zoneout=(of_h, torch.cat(same, dim=-1)))


def shares_apart(spec: CellSpec, walk: Walk[Tensor]) -> Walk[Tensor]:
    """And back."""
    if len(walk.zoneout) in (0, len(spec.states)):
        return walk
    of_h, of_c = walk.zoneout
    beside = [None for _ in spec.states[1:]] if of_c is None else pieces(spec, of_c)
    return dataclasses.replace(walk, zoneout=(of_h, *beside))
