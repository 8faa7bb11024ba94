"""Variable lengths and reversed time over a function that knows neither.

Rows sorted by falling length form a staircase. Each tread, the steps between two successive distinct lengths, is a
full block of the rows still alive there, so it runs as one padded call that starts from the state the tread before
left. Only the work that is there is done, and padding is never read.

           t ─▶  0 1 2 3 4 5 6
    row 0        ■ ■ ■ ■ ■ ■ ■        lengths 7, 4, 4, 2
    row 1        ■ ■ ■ ■              treads  of 2 steps by 4 rows, 2 by 3, 3 by 1
    row 2        ■ ■ ■ ■
    row 3        ■ ■
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import masks
from seriatim.ops.rows import moved
from seriatim.spec import CellSpec

State: TypeAlias = tuple[Tensor, ...]
Run: TypeAlias = Callable[[CellSpec, Tensor, State, "Weights[Tensor]", "Walk[Tensor]"], tuple[Tensor, State]]
"""(spec, x [T, B, I], state, weights, walk) → (output, final state)."""


@dataclass(frozen=True)
class Tread:
    """A full block of the staircase."""

    steps: int
    rows: int


def over_lengths(padded: Run) -> Run:
    """Teach lengths and reversed time to ``padded``, which takes a walk that asks for neither.

    Contract: ``ops.recurrence.recurrence``. The output may be of any width.
    """

    def run(
        spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
    ) -> tuple[Tensor, State]:
        lengths, given = walk.lengths, masks.padded(walk)
        if lengths is None or len(lengths) == 0 or int(lengths.min()) == len(x):
            if not walk.reverse:
                return padded(spec, x, state, weights, given)
            flipped = masks.over_time(given, x.shape[1], lambda one: one.flip(0))
            output, final = padded(spec, x.flip(0), state, weights, flipped)
            return output.flip(0), final

        if walk.reverse:
            mirror = _mirror(lengths, len(x)).to(x.device)
            x = _mirrored(x, mirror)
            given = masks.over_time(given, x.shape[1], lambda one: _mirrored(one, mirror))
        output, final = _climb(padded, spec, x, state, weights, lengths, given)
        return (_mirrored(output, mirror) if walk.reverse else output), final

    return run


def treads(falling: list[int]) -> list[Tread]:
    """The treads under rows of falling length, first to last in time."""
    found: list[Tread] = []
    reached = 0
    for row in range(len(falling) - 1, -1, -1):
        if falling[row] > reached:
            found.append(Tread(falling[row] - reached, row + 1))
            reached = falling[row]
    return found


def _climb(
    padded: Run,
    spec: CellSpec,
    x: Tensor,
    state: State,
    weights: Weights[Tensor],
    lengths: Tensor,
    walk: Walk[Tensor],
) -> tuple[Tensor, State]:
    """Run tread by tread, by splits, pads and joins: a slice of the whole would cost the whole on the way back."""
    total, rows = x.shape[:2]
    falling, order = lengths.sort(descending=True, stable=True)
    place = None if bool((lengths[1:] <= lengths[:-1]).all()) else order.argsort().to(x.device)
    if place is not None:
        order = order.to(x.device)
        x, state = x.index_select(1, order), tuple(one.index_select(0, order) for one in state)
        walk = masks.in_order(walk, order)

    plan = treads(falling.tolist())
    reached = sum(tread.steps for tread in plan)
    pieces = x.split_with_sizes([*(tread.steps for tread in plan), total - reached])
    outputs: list[Tensor] = []
    ended: list[State] = []
    start = 0
    for tread, piece in zip(plan, pieces, strict=False):  # the last piece is padding that nobody reads
        alive = state[0].shape[0]
        if tread.rows < alive:
            parts = [one.split_with_sizes([tread.rows, alive - tread.rows]) for one in state]
            state = tuple(part[0] for part in parts)
            ended.append(tuple(part[1] for part in parts))
        here = masks.block(walk, start, tread.steps, tread.rows)
        output, state = padded(spec, piece[:, : tread.rows], state, weights, here)
        start += tread.steps
        outputs.append(pad(output, (0, 0, 0, rows - tread.rows)))
    if reached < total:
        outputs.append(outputs[0].new_zeros(total - reached, rows, outputs[0].shape[-1]))

    output = torch.cat(outputs)
    final = tuple(torch.cat(parts) for parts in zip(state, *reversed(ended), strict=True))
    if place is not None:
        output, final = output.index_select(1, place), tuple(one.index_select(0, place) for one in final)
    return output, final


def _mirror(lengths: Tensor, steps: int) -> Tensor:
    """Where each step of [T·B] comes from when every row is read from its own end; padding stays where it is."""
    time = torch.arange(steps)[:, None]
    source = torch.where(time < lengths, lengths - 1 - time, time)
    return (source * len(lengths) + torch.arange(len(lengths))).flatten()


def _mirrored(x: Tensor, mirror: Tensor) -> Tensor:
    return moved(x.flatten(0, 1), mirror, mirror).view(x.shape)  # a mirror is its own inverse
