"""The arguments of one call of the engine: one layer in one direction.

Operators and autograd functions take flat lists of tensors. ``ARGUMENTS`` names their order; each tensor may be None.
``Plan`` describes the cell. h and c are the states in the engine's layout
(``kernels/state_layout.py``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import FUSED, Weights
from seriatim.spec import CellSpec

if TYPE_CHECKING:
    from seriatim.kernels._native import Cell

State: TypeAlias = tuple[Tensor, ...]
Flat: TypeAlias = Sequence["Tensor | None"]

FULL = (torch.float32, torch.float64)
"""The dtypes that the engine computes in."""

WEIGHTS = tuple(field.name for field in dataclasses.fields(Weights))[:FUSED]
"""The weights of the cells that the engine runs."""
DIFFERENTIABLE = ("x", "h", "c", *WEIGHTS)
MASKS = ("lengths", "reset", "dropout", "zoneout_h", "zoneout_c")
ARGUMENTS = (*DIFFERENTIABLE, *MASKS)


@dataclass(frozen=True)
class Plan:
    """The cell of a call and how the engine is to run it. ``torch.compile`` cannot trace the cached properties."""

    spec: CellSpec
    input_projected: bool = False
    """Whether x is the input part of the gates already."""
    bf16: bool = False
    """Whether products may be made in bfloat16, where the engine has such products."""

    @property
    def cell(self) -> Cell:
        """The engine's description of the cell."""
        if self.bf16:
            return native.cell(self.spec, self.input_projected, native.has_bf16())  # depends on the target
        return self._full_cell

    @cached_property
    def _full_cell(self) -> Cell:
        return native.cell(self.spec, self.input_projected)

    @cached_property
    def has_c(self) -> bool:
        """Whether the cell has more states than h."""
        return len(self.spec.states) > 1

    @cached_property
    def input_size(self) -> int:
        """Width of x."""
        return len(self.spec.gates) * self.spec.hidden_size if self.input_projected else self.spec.input_size

    @cached_property
    def c_size(self) -> int:
        """Width of c: all states but h."""
        return (len(self.spec.states) - 1) * self.spec.hidden_size

    @cached_property
    def output_size(self) -> int:
        """Width of the output and of h."""
        return self.spec.output_size

    @cached_property
    def slots_shape(self) -> tuple[int, int]:
        """Shape of the slots of one row at one step."""
        return self.cell.slots, self.spec.hidden_size

    @cached_property
    def needs_slots(self) -> bool:
        """Whether a backward needs more than the output. A plain RNN needs only h."""
        return not (self.spec.kind == "rnn" and not self.spec.proj_size and not self.spec.layer_norm)


def weight_list(weights: Weights[Tensor]) -> list[Tensor | None]:
    """The same as ``weights.fused()`` in a tenth of the time, because single steps call it."""
    w = weights
    return [w.w_ih, w.w_hh, w.b_ih, w.b_hh, w.w_hr, w.w_ch, w.g_ih, w.g_hh, w.g_c, w.b_c]


def present_weights(weights: Weights[Tensor]) -> list[Tensor | None]:
    """``weight_list`` without None at the end."""
    values = weight_list(weights)
    while values[-1] is None:
        del values[-1]
    return values


def mask_list(walk: Walk[Tensor]) -> list[Tensor | None]:
    """The lengths and masks of a walk in the order of ``MASKS``."""
    zoneout = walk.zoneout if len(walk.zoneout) == 2 else (*walk.zoneout, None, None)[:2]
    return [walk.lengths, walk.reset, walk.dropout, *zoneout]


def pack_arguments(x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]) -> list[Tensor | None]:
    """All tensors of a call in the order of ``ARGUMENTS``."""
    h, c = state if len(state) == 2 else (state[0], None)
    return [x, h, c, *weight_list(weights), *mask_list(walk)]


def unpack_arguments(arguments: Flat, reverse: bool) -> tuple[Tensor, State, Weights[Tensor], Walk[Tensor]]:
    """The inverse of ``pack_arguments``."""
    x, h, c, *rest = arguments
    assert x is not None and h is not None
    state = (h,) if c is None else (h, c)
    weights: Weights[Tensor] = Weights(*rest[: len(WEIGHTS)])  # type: ignore[arg-type]
    return x, state, weights, to_walk(rest[len(WEIGHTS) :], reverse, len(state))


def to_walk(masks: Flat, reverse: bool, states: int) -> Walk[Tensor]:
    """The walk of masks in the order of ``MASKS``, for a cell with one or two ``states``."""
    lengths, reset, dropout, *zoneout = masks
    present = any(mask is not None for mask in zoneout)
    return Walk(lengths, reverse, reset, dropout, tuple(zoneout[:states]) if present else ())


def dense_rows(tensor: Tensor) -> Tensor:
    """The tensor itself if its last axis is dense, or a contiguous copy."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def dense(tensor: Tensor) -> Tensor:
    """The tensor itself if its memory holds its values in order, or a contiguous copy."""
    if tensor.is_contiguous() and not tensor.is_neg():
        return tensor
    return tensor.resolve_neg().contiguous()
