"""Variable lengths and reversed time for a function that runs padded rows forward in time.

Rows sorted by decreasing length form a staircase. The steps between two successive distinct lengths form a block that
contains the rows that are still active there. Each block runs as one padded call, which starts from the final state of
the block before. So only existing steps are computed, and padding is never read.

           t ─▶  0 1 2 3 4 5 6
    row 0        ■ ■ ■ ■ ■ ■ ■        lengths 7, 4, 4, 2
    row 1        ■ ■ ■ ■              blocks  of 2 steps by 4 rows, 2 by 3, 3 by 1
    row 2        ■ ■ ■ ■
    row 3        ■ ■

The masks of a walk are cut and reordered like x. ``reset`` [T, B] and ``zoneout`` [T or 1, B or 1, ·] follow time and
rows, ``dropout`` [B, P or H] follows the rows. An axis of length 1 is broadcast, so it is not changed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

State: TypeAlias = tuple[Tensor, ...]
Run: TypeAlias = Callable[[CellSpec, Tensor, State, "Weights[Tensor]", "Walk[Tensor]"], tuple[Tensor, State]]
"""(spec, x [T, B, I], state, weights, walk) → (output, final state)."""


@dataclass(frozen=True)
class Block:
    """A full rectangle of the staircase."""

    steps: int
    rows: int


def over_lengths(run_padded: Run) -> Run:
    """Add lengths and reversed time to ``run_padded``, which receives walks with neither.

    The result follows ``ops.recurrence.recurrence``. The output may have any width.
    """

    def run(
        spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
    ) -> tuple[Tensor, State]:
        lengths, padded_walk = walk.lengths, without_lengths(walk)
        if lengths is None or len(lengths) == 0 or int(lengths.min()) == len(x):
            if not walk.reverse:
                return run_padded(spec, x, state, weights, padded_walk)
            flipped = _map_over_time(padded_walk, x.shape[1], lambda mask: mask.flip(0))
            output, final = run_padded(spec, x.flip(0), state, weights, flipped)
            return output.flip(0), final

        if walk.reverse:
            mirror = _mirror(lengths, len(x)).to(x.device)
            x = _mirrored(x, mirror)
            padded_walk = _map_over_time(padded_walk, x.shape[1], lambda mask: _mirrored(mask, mirror))
        output, final = _run_blocks(run_padded, spec, x, state, weights, lengths, padded_walk)
        return (_mirrored(output, mirror) if walk.reverse else output), final

    return run


def blocks_of(lengths: list[int]) -> list[Block]:
    """The blocks of rows with these decreasing lengths, first to last in time."""
    blocks: list[Block] = []
    end = 0
    for row in range(len(lengths) - 1, -1, -1):
        if lengths[row] > end:
            blocks.append(Block(lengths[row] - end, row + 1))
            end = lengths[row]
    return blocks


def _run_blocks(
    run_padded: Run,
    spec: CellSpec,
    x: Tensor,
    state: State,
    weights: Weights[Tensor],
    lengths: Tensor,
    walk: Walk[Tensor],
) -> tuple[Tensor, State]:
    """Run block by block.

    This splits, pads and concatenates. Slices of x would be simpler, but the backward of each slice costs as much as
    all of x.
    """
    steps, rows = x.shape[:2]
    decreasing, order = lengths.sort(descending=True, stable=True)
    inverse = None if bool((lengths[1:] <= lengths[:-1]).all()) else order.argsort().to(x.device)
    if inverse is not None:
        order = order.to(x.device)
        x, state = x.index_select(1, order), tuple(part.index_select(0, order) for part in state)
        walk = _reorder_rows(walk, order)

    blocks = blocks_of(decreasing.tolist())
    end = sum(block.steps for block in blocks)
    pieces = x.split_with_sizes([*(block.steps for block in blocks), steps - end])
    outputs: list[Tensor] = []
    finished: list[State] = []
    start = 0
    for block, piece in zip(blocks, pieces, strict=False):  # the last piece is padding and is not read
        active = state[0].shape[0]
        if block.rows < active:
            parts = [part.split_with_sizes([block.rows, active - block.rows]) for part in state]
            state = tuple(part[0] for part in parts)
            finished.append(tuple(part[1] for part in parts))
        block_walk = cut(walk, start, block.steps, block.rows)
        output, state = run_padded(spec, piece[:, : block.rows], state, weights, block_walk)
        start += block.steps
        outputs.append(pad(output, (0, 0, 0, rows - block.rows)))
    if end < steps:
        outputs.append(outputs[0].new_zeros(steps - end, rows, outputs[0].shape[-1]))

    output = torch.cat(outputs)
    final = tuple(torch.cat(parts) for parts in zip(state, *reversed(finished), strict=True))
    if inverse is not None:
        output, final = output.index_select(1, inverse), tuple(part.index_select(0, inverse) for part in final)
    return output, final


def _mirror(lengths: Tensor, steps: int) -> Tensor:
    """For each of the T·B steps its source when every row is reversed within its length. Padding is not moved."""
    time = torch.arange(steps)[:, None]
    source = torch.where(time < lengths, lengths - 1 - time, time)
    return (source * len(lengths) + torch.arange(len(lengths))).flatten()


def _mirrored(x: Tensor, mirror: Tensor) -> Tensor:
    return permute_rows(x.flatten(0, 1), mirror, mirror).view(x.shape)  # a mirror is its own inverse


def permute_rows(x: Tensor, source: Tensor, inverse: Tensor) -> Tensor:
    """The rows ``source`` of x [N, ·]; row n of x goes to ``inverse[n]``.

    Forward and backward are one copy each, while the derivative of a gather would add row by row. A row may also be
    copied to further places, as padding. The gradient of these copies is ignored.
    """
    result: Tensor = _PermuteRows.apply(x, source, inverse)  # type: ignore[no-untyped-call]
    return result


class _PermuteRows(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, source: Tensor, inverse: Tensor) -> Tensor:
        return x.index_select(0, source)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        source, inverse = ctx.saved_tensors
        return permute_rows(grad, inverse, source), None, None


def has_no_masks(walk: Walk[Tensor]) -> bool:
    """Whether the walk has at most lengths and reversed time."""
    return walk.reset is None and walk.dropout is None and not any(mask is not None for mask in walk.zoneout)


def without_lengths(walk: Walk[Tensor]) -> Walk[Tensor]:
    """The same masks over whole rows, from the first step to the last."""
    return dataclasses.replace(walk, lengths=None, reverse=False)


def cut(walk: Walk[Tensor], start: int, steps: int, rows: int) -> Walk[Tensor]:
    """The masks of ``steps`` steps from ``start`` on and of the first ``rows`` rows."""

    def part(mask: Tensor | None) -> Tensor | None:
        if mask is None:
            return None
        mask = mask if len(mask) == 1 else mask[start : start + steps]
        return mask if mask.shape[1] == 1 else mask[:, :rows]

    return dataclasses.replace(
        walk,
        reset=None if walk.reset is None else walk.reset[start : start + steps, :rows],
        dropout=None if walk.dropout is None else walk.dropout[:rows],
        zoneout=tuple(map(part, walk.zoneout)),
    )


def _map_over_time(walk: Walk[Tensor], rows: int, change: Callable[[Tensor], Tensor]) -> Walk[Tensor]:
    """Apply ``change`` to the masks that depend on time, as [T, B, ·]."""

    def changed(mask: Tensor | None) -> Tensor | None:
        return mask if mask is None or len(mask) == 1 else change(mask.expand(-1, rows, -1))

    reset = None if walk.reset is None else change(walk.reset.unsqueeze(2)).squeeze(2)
    return dataclasses.replace(walk, reset=reset, zoneout=tuple(map(changed, walk.zoneout)))


def _reorder_rows(walk: Walk[Tensor], order: Tensor) -> Walk[Tensor]:
    """The masks with their rows in the order of ``order`` [B]."""

    def reordered(mask: Tensor | None) -> Tensor | None:
        return mask if mask is None or mask.shape[1] == 1 else mask.index_select(1, order)

    return dataclasses.replace(
        walk,
        reset=reordered(walk.reset),
        dropout=None if walk.dropout is None else walk.dropout.index_select(0, order),
        zoneout=tuple(map(reordered, walk.zoneout)),
    )
