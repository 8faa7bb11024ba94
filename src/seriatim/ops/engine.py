"""The native engine on tensors, without autograd: what the operators and the eager path have in common.

A call is a ``Plan`` and a flat row of tensors, each of which may be None, in the order of ``ARGUMENTS``. c is all
that a cell carries beside h (``carried.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]

from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import FUSED, Weights
from seriatim.ops.buffer_pool import POOL
from seriatim.spec import CellSpec

if TYPE_CHECKING:
    from seriatim.kernels._native import Cell, Packed

State: TypeAlias = tuple[Tensor, ...]
Flat: TypeAlias = Sequence["Tensor | None"]
Made: TypeAlias = tuple[Tensor, list[Tensor], "Tensor | None", "Tensor | None"]
"""Output [T, B, P or H], final state, slots [T, B, S, H] and cells [T, B, W]; the last two only where kept."""

WEIGHTS = tuple(field.name for field in dataclasses.fields(Weights))[:FUSED]
"""Those of the cells that the engine fuses."""
DIFFERENTIABLE = ("x", "h", "c", *WEIGHTS)
ARGUMENTS = (*DIFFERENTIABLE, "lengths", "reset", "dropout", "zoneout_h", "zoneout_c")


@dataclass(frozen=True)
class Plan:
    """What of a call is no tensor."""

    spec: CellSpec
    given: bool
    """Whether x is the input part of the gates already."""
    reverse: bool
    halves: bool = False
    """Whether bfloat16 is asked for: where the engine has products of it, it takes them then."""

    @property
    def carries(self) -> bool:
        """Whether there is a c beside h."""
        return len(self.spec.states) > 1

    @property
    def cell(self) -> Cell:
        return native.cell(self.spec, self.given, self.halves and native.has_bf16())


def every(weights: Weights[Tensor]) -> list[Tensor | None]:
    """As ``Weights.as_list``, in a tenth of its time: a step has no more to spare."""
    w = weights
    return [w.w_ih, w.w_hh, w.b_ih, w.b_hh, w.w_hr, w.w_ch, w.g_ih, w.g_hh, w.g_c, w.b_c]


def flat(x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]) -> list[Tensor | None]:
    """The arguments of a call in order."""
    h, c = state if len(state) == 2 else (state[0], None)
    zoneout = walk.zoneout if len(walk.zoneout) == 2 else (*walk.zoneout, None, None)[:2]
    return [x, h, c, *every(weights), walk.lengths, walk.reset, walk.dropout, *zoneout]


def parts(plan: Plan, arguments: Flat) -> tuple[Tensor, State, Weights[Tensor], Walk[Tensor]]:
    """And back."""
    x, h, c, *rest = arguments
    assert x is not None and h is not None
    lengths, reset, dropout, *zoneout = rest[len(WEIGHTS) :]
    kept = tuple(zoneout[: 1 + plan.carries]) if any(one is not None for one in zoneout) else ()
    state = (h,) if c is None else (h, c)
    weights: Weights[Tensor] = Weights(*rest[: len(WEIGHTS)])  # type: ignore[arg-type]
    return x, state, weights, Walk(lengths, plan.reverse, reset, dropout, kept)


def array(tensor: Tensor | None) -> object:
    """A contiguous tensor as the binding reads it, whether it requires gradients or not."""
    return None if tensor is None else to_dlpack(tensor.contiguous())


def _rows(tensor: Tensor | None) -> object:
    """The same for [T, B, ·], of which the last axis alone must be dense."""
    if tensor is None:
        return None
    return to_dlpack(tensor if tensor.stride(-1) == 1 else tensor.contiguous())


def pack(cell: Cell, weights: Flat, threads: int) -> Packed:
    """The weights in the engine's layout."""
    try:
        made: Packed = native.engine().Packed(cell, [array(one) for one in weights], threads)
        return made
    except ValueError as error:
        raise UsageError(str(error)) from error


def forward(
    plan: Plan, packed: Packed, x: Tensor, state: State, walk: Walk[Tensor], threads: int, kept: str = "nothing"
) -> Made:
    """Run. ``kept`` is ``nothing``, ``leased`` for a backward, or ``shown``, with zeros where a row has no step."""
    cell, spec = plan.cell, plan.spec
    steps, rows = x.shape[:2]
    output = torch.empty((steps, rows, spec.output_size), dtype=x.dtype)
    final = [torch.empty(one.shape, dtype=x.dtype) for one in state]
    slots = cells = None
    # Where a draw has kept h, nothing comes to the candidate.
    told_by_h = all(one is None or one.dtype is torch.bool for one in walk.zoneout)
    h_says_all = spec.kind == "rnn" and told_by_h and not (spec.proj_size or spec.layer_norm)
    if kept == "shown" or (kept == "leased" and not h_says_all):
        make: Callable[..., Tensor] = POOL.empty
        if kept == "shown":
            make = torch.empty if walk.lengths is None else torch.zeros
        slots = make((steps, rows, cell.slots, spec.hidden_size), dtype=x.dtype)
        cells = make((steps, rows, state[1].shape[1]), dtype=x.dtype) if plan.carries else None
    try:
        native.engine().forward(
            cell, packed, _rows(x), [array(one) for one in state], array(walk.lengths), walk.reverse, array(walk.reset),
            array(walk.dropout), [array(one) for one in walk.zoneout], array(output), [array(one) for one in final],
            array(slots), array(cells), threads,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    return output, final, slots, cells


def backward(
    plan: Plan,
    arguments: Flat,
    made: tuple[Tensor, Tensor, Tensor | None],
    grads: Flat,
    wanted: Sequence[bool],
    threads: int,
) -> list[Tensor | None]:
    """The gradients that are wanted of ``DIFFERENTIABLE``.

    ``made`` are output, slots and cells; ``grads`` the gradients of output, h_n, c_n and cells, None for zero.
    """
    x, state, weights, walk = parts(plan, arguments)
    output, slots, cells = made
    found: list[Tensor | None] = [
        torch.empty(one.shape, dtype=one.dtype) if one is not None and want else None
        for one, want in zip(arguments[: len(DIFFERENTIABLE)], wanted, strict=True)
    ]
    grad_output, *grad_final, grad_cells = grads
    count = len(state)
    try:
        native.engine().backward(
            plan.cell, [array(one) for one in every(weights)], _rows(x), [array(one) for one in state],
            array(walk.lengths), walk.reverse, array(walk.reset), array(walk.dropout),
            [array(one) for one in walk.zoneout], array(output), array(slots), array(cells),
            _rows(grad_output), [array(one) for one in grad_final[:count]], array(grad_cells),
            array(found[0]), [array(one) for one in found[1 : 1 + count]], [array(one) for one in found[3:]], threads,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    return found
