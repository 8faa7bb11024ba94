"""Calls of the engine on tensors, without autograd: one layer in one direction, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.ops.arguments import DIFFERENTIABLE, Flat, array, dense, rows_array, to_walk
from seriatim.ops.buffer_pool import POOL
from seriatim.ops.packed_weights import PackedWeights


class Save(Enum):
    """What a forward call keeps beside output and final state."""

    NOTHING = 0
    FOR_BACKWARD = 1
    """Slots and cells as far as a backward needs them, in memory of the pool."""
    RETURNED = 2
    """Slots and cells for the caller, zero where a row has no step."""


class Outcome(NamedTuple):
    """The results of a forward call."""

    output: Tensor
    """[T, B, P or H], or [N, P or H] of packed rows."""
    h_n: Tensor
    c_n: Tensor | None
    slots: Tensor | None
    """[T, B, S, H], the gates and other values of each step."""
    cells: Tensor | None
    """[T, B, W], c of each step."""


class Grads(NamedTuple):
    """The gradients that reach a call. None is zero."""

    output: Tensor | None
    h_n: Tensor | None
    c_n: Tensor | None
    cells: Tensor | None


def check(packed: PackedWeights, x: Tensor, h: Tensor, c: Tensor | None = None) -> None:
    """Raise ``UsageError`` if x [T, B, I] or [B, I], h [B, ·] and c [B, W] do not fit the packed weights."""
    spec, dtype = packed.plan.spec, packed.dtype
    inputs = len(spec.gates) * spec.hidden_size if packed.plan.input_projected else spec.input_size
    rows = x.shape[-2]
    tensors, shapes = [("h", h)], [(rows, spec.output_size)]
    if packed.has_c:
        tensors.append(("c", h if c is None else c))
        shapes.append((rows, (len(spec.states) - 1) * spec.hidden_size))
    if not len(x) and x.dim() == 3:
        raise UsageError(f"x: got {list(x.shape)}, wanted [T, B, {inputs}] with at least one step")
    if x.shape[-1] != inputs or x.dtype is not dtype:
        raise UsageError(f"x: got {list(x.shape)} of {x.dtype}, wanted width {inputs} of {dtype}")
    for (name, tensor), shape in zip(tensors, shapes, strict=True):
        if tensor.shape != shape or tensor.dtype is not dtype:
            raise UsageError(f"{name}: got {list(tensor.shape)} of {tensor.dtype}, wanted {list(shape)} of {dtype}")


def forward(
    packed: PackedWeights,
    reverse: bool,
    sizes: Sequence[int],
    save: Save,
    x: Tensor,
    h: Tensor,
    c: Tensor | None,
    masks: Flat = (),
) -> Outcome:
    """Run x [T, B, I], or packed rows [N, I] with the ``sizes`` of their steps, from h and c.

    The states are contiguous, [B, ·] or [1, B, ·]; the last axis of x is dense. ``masks``, in the order of
    ``arguments.MASKS``, is empty where there are none. Without masks nothing is checked here (``check``).
    """
    leading, dtype = x.shape[:-1], h.dtype
    output = torch.empty(*leading, packed.output_size, dtype=dtype)
    h_n = torch.empty_like(h)
    c_n = None if c is None else torch.empty_like(c)
    slots = cells = None
    if save is Save.RETURNED or (save is Save.FOR_BACKWARD and (packed.needs_slots or _mixes(masks))):
        empty: Callable[..., Tensor] = POOL.empty
        if save is Save.RETURNED:
            empty = torch.zeros if masks and masks[0] is not None else torch.empty
        slots = empty((*leading, *packed.slots_shape), dtype=dtype)
        cells = None if c is None else empty((*leading, c.shape[-1]), dtype=dtype)
    threads = torch.get_num_threads()
    if not masks:
        native.engine().forward_at(
            packed.packed, len(sizes) or len(x), h.shape[-2], sizes, x.data_ptr(), *strides(x), h.data_ptr(),
            address(c), reverse, output.data_ptr(), h_n.data_ptr(), address(c_n), address(slots), address(cells),
            threads,
        )  # fmt: skip
        return Outcome(output, h_n, c_n, slots, cells)
    walk = to_walk(masks, reverse, 1 if c is None else 2)
    try:
        native.engine().forward(
            packed.cell, packed.packed, rows_array(x), _arrays(h, c), array(walk.lengths), reverse,
            array(walk.reset), array(walk.dropout), list(map(array, walk.zoneout)), array(output), _arrays(h_n, c_n),
            array(slots), array(cells), threads,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Outcome(output, h_n, c_n, slots, cells)


def backward(
    packed: PackedWeights,
    reverse: bool,
    sizes: Sequence[int],
    arguments: Flat,
    saved: tuple[Tensor, Tensor | None, Tensor | None],
    grads: Grads,
    needs: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients of ``DIFFERENTIABLE``, None where ``needs`` is False.

    ``arguments`` are those of the forward call: x, h, c, the weights and then the masks, if there are any. ``saved``
    are its output, slots and cells.
    """
    x, h, c, *weights = arguments[: len(DIFFERENTIABLE)]
    masks = arguments[len(DIFFERENTIABLE) :]
    output, slots, cells = saved
    assert x is not None and h is not None
    grad_x = torch.empty(x.shape, dtype=x.dtype) if needs[0] else None  # not with the strides of x
    grad_h = torch.empty_like(h) if needs[1] else None
    grad_c = torch.empty_like(c) if c is not None and needs[2] else None
    grad_weights = [
        torch.empty_like(weight) if weight is not None and need else None
        for weight, need in zip(weights, needs[3:], strict=True)
    ]
    threads = torch.get_num_threads()
    if not masks and grads.cells is None:
        grad_output, grad_h_n, grad_c_n = [None if grad is None else dense(grad) for grad in grads[:3]]
        rows, width = h.shape[-2], output.shape[-1]
        native.engine().backward_at(
            packed.cell, packed.is_float64, list(map(address, weights)), len(sizes) or len(x), rows, sizes,
            x.data_ptr(), *strides(x), h.data_ptr(), address(c), reverse, output.data_ptr(), address(slots),
            address(cells), address(grad_output), rows * width, width, address(grad_h_n), address(grad_c_n),
            address(grad_x), address(grad_h), address(grad_c), list(map(address, grad_weights)), threads,
        )  # fmt: skip
        return [grad_x, grad_h, grad_c, *grad_weights]
    walk = to_walk(masks or (None,) * 5, reverse, 1 if c is None else 2)
    try:
        native.engine().backward(
            packed.cell, list(map(array, weights)), rows_array(x), _arrays(h, c), array(walk.lengths), reverse,
            array(walk.reset), array(walk.dropout), list(map(array, walk.zoneout)), array(output), array(slots),
            array(cells), rows_array(grads.output), [array(grads.h_n), *([] if c is None else [array(grads.c_n)])],
            array(grads.cells), array(grad_x), [array(grad_h), *([] if c is None else [array(grad_c)])],
            list(map(array, grad_weights)), threads,
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(str(error)) from error
    return [grad_x, grad_h, grad_c, *grad_weights]


def strides(x: Tensor) -> tuple[int, int]:
    """The strides from step to step and from row to row. Packed rows have no stride between steps."""
    return (0, x.stride(0)) if x.dim() == 2 else (x.stride(0), x.stride(1))


def address(tensor: Tensor | None) -> int:
    """The address of the tensor's memory, 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def _mixes(masks: Flat) -> bool:
    """Whether zoneout mixes the old state and the new one. Where it keeps one of the two, h tells which."""
    return any(mask is not None and mask.dtype is not torch.bool for mask in masks[3:])


def _arrays(h: Tensor, c: Tensor | None) -> list[object]:
    return [array(h)] if c is None else [array(h), array(c)]
