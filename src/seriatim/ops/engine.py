"""Calls of the engine on tensors, without autograd: one layer in one direction, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TypeAlias

import torch
from torch import Tensor

from seriatim.errors import TensorError, UsageError
from seriatim.kernels import native
from seriatim.kernels.call_arrays import call_shapes, check_call
from seriatim.kernels.call_arrays import masks as mask_addresses
from seriatim.ops.arguments import Flat, Plan, dense, dense_rows
from seriatim.ops.buffer_pool import POOL
from seriatim.ops.eager import are_exact
from seriatim.ops.packed_weights import PackedWeights


class Save(Enum):
    """The values that a forward call saves in addition to output and final state."""

    NOTHING = 0
    FOR_BACKWARD = 1
    """Slots and cells as far as a backward needs them, in memory of the pool."""
    RETURNED = 2
    """Slots and cells for the caller, zero where a row has no step."""


Outcome: TypeAlias = tuple[Tensor, Tensor, "Tensor | None", "Tensor | None", "Tensor | None"]
"""The results of a forward call: output [T, B, P or H], or [N, P or H] of packed rows; h_n and c_n; slots [T, B, S, H],
the gates and other values of each step; and cells [T, B, W], c of each step."""


Grads: TypeAlias = tuple["Tensor | None", "Tensor | None", "Tensor | None", "Tensor | None"]
"""The gradients that reach output, h_n, c_n and cells. None is zero."""


def check(packed: PackedWeights, x: Tensor, h: Tensor, c: Tensor | None = None) -> None:
    """Raise ``UsageError`` if x [T, B, I] or [B, I], h [B, ·] and c [B, W] do not fit the packed weights, or their
    memory is not on the CPU.
    """
    plan, dtype = packed.plan, packed.dtype
    check_memory({"x": x, "h": h, "c": c})
    *leading, rows, width = x.shape
    if width != plan.input_size or x.dtype is not dtype:
        _refuse("x", x, (*leading, rows, plan.input_size), dtype)
    if leading == [0]:
        raise UsageError(f"x: got {list(x.shape)}, wanted at least one step")
    if h.shape != (rows, plan.output_size) or h.dtype is not dtype:
        _refuse("h", h, (rows, plan.output_size), dtype)
    if plan.has_c != (c is not None):
        raise UsageError(f"c: got {'None' if c is None else 'a tensor'}, wanted {'a tensor' if c is None else 'None'}")
    if c is not None and (c.shape != (rows, plan.c_size) or c.dtype is not dtype):
        _refuse("c", c, (rows, plan.c_size), dtype)


def check_memory(tensors: Mapping[str, Tensor | None]) -> None:
    """Raise ``TensorError`` for a tensor whose values are not at its address: a subclass, another device, no memory."""
    for name, tensor in tensors.items():
        if tensor is None or (are_exact((tensor,)) and tensor.is_cpu and (tensor.data_ptr() or not tensor.numel())):
            continue
        is_freed = are_exact((tensor,)) and tensor.is_cpu
        actual = "a tensor whose memory was freed" if is_freed else f"a {type(tensor).__name__} on {tensor.device}"
        raise TensorError(f"{name}: got {actual}, wanted a Tensor with memory on the CPU")


def refusal(error: ValueError, tensors: Mapping[str, Tensor | None]) -> TensorError:
    """The error for a call with ``tensors`` that the engine refused. Raises it if the reason is their memory."""
    check_memory(tensors)
    return TensorError(str(error))


def _refuse(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
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
    plan = packed.plan
    leading, dtype = x.shape[:-1], h.dtype
    output = torch.empty(*leading, plan.output_size, dtype=dtype)
    h_n = torch.empty_like(h)
    slots = cells = c_n = None
    c_address = c_n_address = slots_address = cells_address = 0
    if c is not None:
        c_n = torch.empty_like(c)
        c_address, c_n_address = c.data_ptr(), c_n.data_ptr()
    if save is Save.RETURNED or (save is Save.FOR_BACKWARD and (plan.needs_slots or _mixes(masks))):
        empty: Callable[..., Tensor] = POOL.empty
        if save is Save.RETURNED:
            empty = torch.zeros if masks and masks[0] is not None else torch.empty
        slots = empty((*leading, *plan.slots_shape), dtype=dtype)
        slots_address = slots.data_ptr()
        if c is not None:
            cells = empty((*leading, c.shape[-1]), dtype=dtype)
            cells_address = cells.data_ptr()
    mask_values = None
    if masks:
        x = dense_rows(x)
        lengths, reset, dropout, *zoneout = (None if mask is None else dense(mask) for mask in masks)
        _check_call(plan, {
            "x": x, "h": h, "c": c, "lengths": lengths, "reset": reset, "dropout": dropout, "zoneout_h": zoneout[0],
            "zoneout_c": zoneout[1], "output": output, "h_n": h_n, "c_n": c_n, "slots": slots, "cells": cells,
        })  # fmt: skip
        mask_values = mask_addresses(lengths, reset, dropout, zoneout)
    by_step, by_row = strides(x)
    try:
        native.engine().forward(
            packed.packed, len(sizes) or len(x), h.shape[-2], sizes, x.data_ptr(), by_step, by_row, h.data_ptr(),
            c_address, reverse, output.data_ptr(), h_n.data_ptr(), c_n_address, slots_address, cells_address,
            mask_values, torch.get_num_threads(),
        )  # fmt: skip
    except ValueError as error:
        raise refusal(error, {"x": x, "h": h, "c": c}) from error
    return output, h_n, c_n, slots, cells


def backward(
    packed: PackedWeights, reverse: bool, sizes: Sequence[int], saved: Flat, grads: Grads, needs: Sequence[bool]
) -> list[Tensor | None]:
    """The gradients of x, h, c, the weights and the masks, None where ``needs`` is False, and for masks.

    ``saved`` are output, slots and cells of the forward call and then its arguments: x, h, c, the weights that were
    packed, and the masks if there are any.
    """
    output, slots, cells, x, h, c, *weights = saved
    masks: Flat = ()
    if len(weights) > packed.weight_count:
        masks = weights[packed.weight_count :]
        del weights[packed.weight_count :]
    grad_output, grad_h_n, grad_c_n, grad_cells = grads
    assert x is not None and h is not None and output is not None
    needs_x, needs_h, needs_c, *needs_weights = needs
    grad_x = torch.empty(x.shape, dtype=x.dtype) if needs_x else None  # not with the strides of x
    grad_h = torch.empty_like(h) if needs_h else None
    grad_c = torch.empty_like(c) if c is not None and needs_c else None
    grad_weights = [
        torch.empty_like(weight) if need and weight is not None else None
        for weight, need in zip(weights, needs_weights, strict=False)
    ]
    grad_output = None if grad_output is None else dense(grad_output)
    grad_h_n = None if grad_h_n is None else dense(grad_h_n)
    grad_c_n = None if grad_c_n is None else dense(grad_c_n)
    grad_cells = None if grad_cells is None else dense(grad_cells)
    mask_values = None
    if masks:
        x = dense_rows(x)
        lengths, reset, dropout, *zoneout = (None if mask is None else dense(mask) for mask in masks)
        _check_call(packed.plan, {
            "x": x, "h": h, "c": c, "lengths": lengths, "reset": reset, "dropout": dropout, "zoneout_h": zoneout[0],
            "zoneout_c": zoneout[1], "output": output, "slots": slots, "cells": cells, "grad_output": grad_output,
            "grad_h_n": grad_h_n, "grad_c_n": grad_c_n, "grad_cells": grad_cells, "grad_x": grad_x, "grad_h": grad_h,
            "grad_c": grad_c,
        })  # fmt: skip
        mask_values = mask_addresses(lengths, reset, dropout, zoneout)
    rows, width = h.shape[-2], output.shape[-1]
    by_step, by_row = strides(x)
    absent = packed.absent
    try:
        native.engine().backward(
            packed.cell, packed.is_float64, [0 if weight is None else weight.data_ptr() for weight in weights] + absent,
            len(sizes) or len(x), rows, sizes, x.data_ptr(), by_step, by_row, h.data_ptr(), address(c), reverse,
            output.data_ptr(), address(slots), address(cells), address(grad_output), rows * width, width,
            address(grad_h_n), address(grad_c_n), address(grad_cells), address(grad_x), address(grad_h),
            address(grad_c), [0 if grad is None else grad.data_ptr() for grad in grad_weights] + absent, mask_values,
            torch.get_num_threads(),
        )  # fmt: skip
    except ValueError as error:
        raise refusal(error, {"x": x, "h": h, "c": c, "output": output}) from error
    return [grad_x, grad_h, grad_c, *grad_weights, *(None for _ in masks)]


def strides(x: Tensor) -> tuple[int, int]:
    """The strides from step to step and from row to row. Packed rows have no stride between steps."""
    return (0, x.stride(0)) if x.dim() == 2 else (x.stride(0), x.stride(1))


def address(tensor: Tensor | None) -> int:
    """The address of the tensor's memory, 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


def _mixes(masks: Flat) -> bool:
    """Whether zoneout mixes the old state and the new one. If it takes one of the two, h shows which one."""
    return any(mask is not None and mask.dtype is not torch.bool for mask in masks[3:])


def _check_call(plan: Plan, arrays: Mapping[str, Tensor | None]) -> None:
    x = arrays["x"]
    assert x is not None
    check_memory(arrays)
    steps, rows = x.shape[:2]
    shapes = call_shapes(plan.spec, steps, rows, plan.input_size, plan.slots_shape[0])
    check_call(shapes, arrays, strided=("x", "grad_output"))
