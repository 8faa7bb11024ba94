"""One layer in one direction in training, where the call costs as much as the kernels: ``straight`` leads here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seriatim.kernels import native
from seriatim.ops.buffer_pool import POOL
from seriatim.ops.double_backward import derivative
from seriatim.ops.engine import Plan
from seriatim.ops.packed_weights import Held

_dispatch_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack
_is_batched: Any = torch._C._functorch.is_legacy_batchedtensor  # by ``is_grads_batched``


class _Layer(torch.autograd.Function):
    """x [T, B, I], dense in its last axis, h and c [1, B, H] or None → output [T, B, H], h_n and c_n.

    With ``sizes``, x and output are the data of a PackedSequence, [N, I] and [N, H]. ``zeros`` [1, B, H] stand for a
    first state that is None. ``weights`` are those that are held.
    """

    @staticmethod
    def forward(
        ctx: Any, held: Held, reverse: bool, sizes: Sequence[int], zeros: Tensor, x: Tensor, h: Tensor | None,
        c: Tensor | None, *weights: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        units, dtype, each = held.spec.hidden_size, held.dtype, x.shape[:-1]
        output = torch.empty(*each, units, dtype=dtype)
        h_n = torch.empty_like(zeros)
        slots = cells = c_n = None
        of_slots = of_cells = of_c = 0
        if held.keeps_slots:
            slots = POOL.empty((*each, held.cell.slots, units), dtype)
            of_slots = slots.data_ptr()
        if held.states == 2:
            c_n = torch.empty_like(zeros)
            cells = POOL.empty((*each, units), dtype)
            of_c, of_cells = c_n.data_ptr(), cells.data_ptr()
        by_step, by_row = strides(x)
        native.engine().forward_at(
            held.packed, len(sizes) or len(x), zeros.shape[1], sizes, x.data_ptr(), by_step, by_row,
            (zeros if h is None else h).data_ptr(), _of_c(held, zeros, c), reverse, output.data_ptr(), h_n.data_ptr(),
            of_c, of_slots, of_cells, torch.get_num_threads(),
        )  # fmt: skip
        ctx.held = held
        ctx.reverse = reverse
        ctx.sizes = sizes
        ctx.zeros = zeros
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h, c, output, slots, cells, *weights)
        return (output, h_n) if c_n is None else (output, h_n, c_n)

    @staticmethod
    def backward(
        ctx: Any, grad_output: Tensor | None, grad_h: Tensor | None, grad_c: Tensor | None = None
    ) -> tuple[Tensor | None, ...]:
        x, h, c, output, slots, cells, *weights = ctx.saved_tensors
        needs = ctx.needs_input_grad[4:]
        some = grad_output if grad_output is not None else grad_h if grad_h is not None else grad_c
        if some is None:
            return None, None, None, None, *(None for _ in needs)
        if torch.is_grad_enabled() or _transforms() is not None or _dispatch_modes() or _is_batched(some):
            first = ctx.zeros if h is None else h, ctx.zeros if c is None else c
            return None, None, None, None, *_derived(ctx, needs, x, first, weights, (grad_output, grad_h, grad_c))
        held: Held = ctx.held
        sizes: Sequence[int] = ctx.sizes
        rows, units = ctx.zeros.shape[1:]
        if grad_output is not None:
            grad_output = _dense(grad_output)
        if grad_h is not None:
            grad_h = _dense(grad_h)
        if grad_c is not None:
            grad_c = _dense(grad_c)
        of_x, of_h, of_c, *of_weights = needs
        found_x = torch.empty(x.shape, dtype=held.dtype) if of_x else None  # not x's strides
        found_h = torch.empty_like(h) if of_h else None
        found_c = torch.empty_like(c) if of_c else None
        found = [torch.empty_like(one) if need else None for one, need in zip(weights, of_weights, strict=True)]
        by_step, by_row = strides(x)
        absent = held.absent
        native.engine().backward_at(
            held.cell, held.wide, [one.data_ptr() for one in weights] + absent, len(sizes) or len(x), rows, sizes,
            x.data_ptr(), by_step, by_row, (ctx.zeros if h is None else h).data_ptr(), _of_c(held, ctx.zeros, c),
            ctx.reverse, output.data_ptr(), _address(slots), _address(cells), _address(grad_output), rows * units,
            units, _address(grad_h), _address(grad_c), _address(found_x), _address(found_h), _address(found_c),
            [0 if one is None else one.data_ptr() for one in found] + absent, torch.get_num_threads(),
        )  # fmt: skip
        return None, None, None, None, found_x, found_h, found_c, *found


apply_layer: Any = super(torch.autograd.Function, _Layer).apply
"""``_Layer.apply`` without its looking for transforms, of which the caller knows that there are none."""


def strides(x: Tensor) -> tuple[int, int]:
    """From step to step, which packed rows do not have, and from row to row."""
    return (0, x.stride(0)) if x.dim() == 2 else (x.stride(0), x.stride(1))


def _address(one: Tensor | None) -> int:
    return 0 if one is None else one.data_ptr()


def _of_c(held: Held, zeros: Tensor, c: Tensor | None) -> int:
    """The address of the first c, 0 where the cell has none."""
    return 0 if held.states == 1 else (zeros if c is None else c).data_ptr()


def _dense(grad: Tensor) -> Tensor:
    """A gradient as the engine reads it; that of a sum, say, is one number with strides of 0."""
    if grad.is_contiguous() and not grad.is_neg():
        return grad
    return grad.resolve_neg().contiguous()


def _derived(
    ctx: Any,
    needs: tuple[bool, ...],
    x: Tensor,
    first: tuple[Tensor, Tensor],
    weights: list[Tensor],
    grads: tuple[Tensor | None, ...],
) -> list[Tensor | None]:
    """The same as a graph, for somebody who wants its derivative."""
    held: Held = ctx.held
    h, c = first
    grad_output, grad_h, grad_c = grads
    absent = [None for _ in range(10 - len(weights))]
    lengths = None
    if ctx.sizes:
        sizes = torch.tensor(ctx.sizes)
        x, lengths = pad_packed_sequence(PackedSequence(x, sizes))
        grad_output = None if grad_output is None else pad_packed_sequence(PackedSequence(grad_output, sizes))[0]
    found = derivative(
        Plan(held.spec, False, ctx.reverse),
        [
            x,
            h.squeeze(0),
            c.squeeze(0) if held.states == 2 else None,
            *weights,
            *absent,
            lengths,
            None,
            None,
            None,
            None,
        ],
        (*needs, *(False for _ in absent)),
        (
            grad_output,
            None if grad_h is None else grad_h.squeeze(0),
            None if grad_c is None else grad_c.squeeze(0),
            None,
        ),
    )
    x_grad, *states = found[:3]
    if x_grad is not None and lengths is not None:
        x_grad = pack_padded_sequence(x_grad, lengths).data
    return [x_grad, *(None if one is None else one.unsqueeze(0) for one in states), *found[3 : 3 + len(weights)]]
