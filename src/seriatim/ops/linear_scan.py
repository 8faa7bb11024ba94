"""The linear recurrence h_t = a_t ⊙ h_{t-1} + b_t as PyTorch operators.

``scan`` takes a and b, of real or of complex numbers. A complex sequence is two tensors, real and imaginary parts.
``gated_scan`` takes the input part of the gates of a minGRU or minLSTM: the engine computes the gates during the scan
(``native/src/minimal_gates.h``), so it reads u and writes h and nothing else.

The engine passes over the sequence once in each direction. A loop of plain PyTorch operations runs instead where the
engine cannot, and for derivatives of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.kernels.call_arrays import check_call
from seriatim.ops.arguments import FULL, dense
from seriatim.ops.composed import positive
from seriatim.ops.eager import needs_graph

if TYPE_CHECKING:
    from seriatim.kernels._native import Scan

Parts = list[Tensor]
"""One tensor of real numbers, or two tensors of complex numbers."""


def scan(
    a: Sequence[Tensor], b: Sequence[Tensor], first: Sequence[Tensor], lengths: Tensor | None, reverse: bool,
    reset: Tensor | None,
) -> tuple[Parts, Parts]:  # fmt: skip
    """Run h_t = a_t ⊙ h_{t-1} + b_t from ``first`` [B, H].

    b is [T, B, H], and a the same, or 1 wide in T or in B. ``lengths`` [B], ``reverse`` and ``reset`` [T, B] are as in
    ``kernels.walk``. Returns h [T, B, H], 0 beyond a row's length, and the state after the last step.
    """
    if runs_in_engine(b[0]):
        results: Parts = _scan(list(a), list(b), list(first), lengths, reverse, reset)
        return results[: len(b)], results[len(b) :]
    return composed_scan(a, b, first, lengths, reverse, reset)


def runs_in_engine(x: Tensor) -> bool:
    """Whether the engine scans sequences of this dtype on this device."""
    return x.is_cpu and x.dtype in FULL and native.ready()


def composed_scan(
    a: Sequence[Tensor], b: Sequence[Tensor], first: Sequence[Tensor], lengths: Tensor | None, reverse: bool,
    reset: Tensor | None,
) -> tuple[Parts, Parts]:  # fmt: skip
    """``scan`` step by step in plain operations."""
    steps = len(b[0])
    wide = [part.expand(steps, *part.shape[1:]) for part in a]
    h = list(first)
    output: list[Parts] = [[] for _ in range(steps)]
    for t in reversed(range(steps)) if reverse else range(steps):
        previous = h if reset is None else [part.masked_fill(reset[t, :, None], 0) for part in h]
        products = _product([part[t] for part in wide], previous)
        new = [product + part[t] for product, part in zip(products, b, strict=True)]
        if lengths is None:
            h = output[t] = new
        else:
            active = (t < lengths.to(b[0].device))[:, None]
            output[t] = [part.masked_fill(~active, 0) for part in new]
            h = [torch.where(active, part, old) for part, old in zip(new, h, strict=True)]
    return [torch.stack(part) for part in zip(*output, strict=True)], h


def _product(a: Sequence[Tensor], h: Sequence[Tensor]) -> Parts:
    if len(a) == 1:
        return [a[0] * h[0]]
    return [a[0] * h[0] - a[1] * h[1], a[0] * h[1] + a[1] * h[0]]


@torch.library.custom_op("seriatim::scan", mutates_args=(), device_types="cpu")
def _scan(
    a: list[Tensor], b: list[Tensor], first: list[Tensor], lengths: Tensor | None, reverse: bool, reset: Tensor | None
) -> list[Tensor]:
    b, first = _dense(b), _dense(first)
    h, last = [torch.empty_like(part) for part in b], [torch.empty_like(part) for part in first]
    arrays = {"b": b, "a": _dense(a), "first": first, **_masks(lengths, reset)}
    _engine_scan("none", arrays, reverse, h).forward(_addresses(last), torch.get_num_threads())
    return [*h, *last]


@_scan.register_fake
def _(a: Any, b: Any, first: Any, lengths: Any, reverse: Any, reset: Any) -> list[Tensor]:
    return [torch.empty_like(part) for part in (*b, *first)]


@torch.library.custom_op("seriatim::scan_backward", mutates_args=(), device_types="cpu")
def _scan_backward(
    a: list[Tensor], b: list[Tensor], first: list[Tensor], lengths: Tensor | None, reverse: bool, reset: Tensor | None,
    h: list[Tensor], grads: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    parts = len(b)
    b, first, grads = _dense(b), _dense(first), _dense(grads)
    steps, rows, units = b[0].shape
    grad_a = [b[0].new_empty(1 if len(a[0]) == 1 else steps, rows, units) for _ in a]
    grad_b, grad_first = [torch.empty_like(part) for part in b], [torch.empty_like(part) for part in first]
    arrays = {"b": b, "a": _dense(a), "first": first, **_masks(lengths, reset)}
    arrays |= {"grad_h": grads[:parts], "grad_first": grads[parts:]}
    _engine_scan("none", arrays, reverse, h).backward(
        _addresses(grads[:parts]), _addresses(grads[parts:]), 0, _addresses(grad_a), _addresses(grad_b),
        _addresses(grad_first), torch.get_num_threads(),
    )  # fmt: skip
    narrow = [grad.sum(1, keepdim=True) if part.shape[1] < rows else grad for grad, part in zip(grad_a, a, strict=True)]
    return [*narrow, *grad_b, *grad_first]


@_scan_backward.register_fake
def _(a: Any, b: Any, first: Any, lengths: Any, reverse: Any, reset: Any, h: Any, grads: Any) -> list[Tensor]:
    return [torch.empty_like(part) for part in (*a, *b, *first)]


def _save_scan(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    a, b, first, lengths, reverse, reset = inputs
    ctx.parts, ctx.reverse, ctx.masks = len(b), reverse, (lengths, reset)
    ctx.save_for_backward(*a, *b, *first, *output[: len(b)])


def _differentiate_scan(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    parts = ctx.parts
    saved = ctx.saved_tensors
    a, b, first, h = (list(saved[at : at + parts]) for at in range(0, 4 * parts, parts))
    lengths, reset = ctx.masks
    results: Sequence[Tensor | None]
    if needs_graph(grads):
        with torch.enable_grad():
            output, last = composed_scan(a, b, first, lengths, ctx.reverse, reset)
            results = _composed_gradients([*output, *last], (*a, *b, *first), grads)
    else:
        results = _scan_backward(a, b, first, lengths, ctx.reverse, reset, h, grads)
    return list(results[:parts]), list(results[parts : 2 * parts]), list(results[2 * parts :]), None, None, None


_scan.register_autograd(_differentiate_scan, setup_context=_save_scan)


def mingru(u: Tensor) -> tuple[Tensor, Tensor]:
    """a and b of h_t = a_t ⊙ h_{t-1} + b_t, [T, B, H] each, from u [T, B, 2·H]."""
    u_z, u_n = u.chunk(2, dim=-1)
    z = torch.sigmoid(u_z)
    return 1 - z, z * positive(u_n)


def minlstm(u: Tensor) -> tuple[Tensor, Tensor]:
    """a and b of h_t = a_t ⊙ h_{t-1} + b_t, [T, B, H] each, from u [T, B, 3·H]."""
    u_f, u_i, u_g = u.chunk(3, dim=-1)
    s = torch.sigmoid(torch.nn.functional.logsigmoid(u_f) - torch.nn.functional.logsigmoid(u_i))
    return s, (1 - s) * positive(u_g)


COEFFICIENTS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {"mingru": mingru, "minlstm": minlstm}


def gated_scan(
    kind: str, u: Tensor, first: Tensor, lengths: Tensor | None, reverse: bool, reset: Tensor | None
) -> tuple[Tensor, Tensor]:
    """h [T, B, H] and the last state [B, H] of a ``mingru`` or ``minlstm``. The other arguments are as for ``scan``.

    u [T, B, G·H] is the input part of all gates.
    """
    h, last = _gated_scan(kind, u, first, lengths, reverse, reset)
    return h, last


@torch.library.custom_op("seriatim::gated_scan", mutates_args=(), device_types="cpu")
def _gated_scan(
    kind: str, u: Tensor, first: Tensor, lengths: Tensor | None, reverse: bool, reset: Tensor | None
) -> tuple[Tensor, Tensor]:
    u, first = dense(u), dense(first)
    h, last = u.new_empty(*u.shape[:2], first.shape[1]), torch.empty_like(first)
    arrays = {"u": [u], "first": [first], **_masks(lengths, reset)}
    _engine_scan(kind, arrays, reverse, [h]).forward([last.data_ptr()], torch.get_num_threads())
    return h, last


@_gated_scan.register_fake
def _(kind: Any, u: Any, first: Any, lengths: Any, reverse: Any, reset: Any) -> tuple[Tensor, Tensor]:
    return u.new_empty(u.shape[0], u.shape[1], first.shape[1]), torch.empty_like(first)


@torch.library.custom_op("seriatim::gated_scan_backward", mutates_args=(), device_types="cpu")
def _gated_scan_backward(
    kind: str, u: Tensor, first: Tensor, lengths: Tensor | None, reverse: bool, reset: Tensor | None, h: Tensor,
    grad_h: Tensor, grad_last: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    u, first, grad_h, grad_last = dense(u), dense(first), dense(grad_h), dense(grad_last)
    grad_u, grad_first = torch.empty_like(u), torch.empty_like(first)
    arrays = {"u": [u], "first": [first], **_masks(lengths, reset), "grad_h": [grad_h], "grad_first": [grad_last]}
    _engine_scan(kind, arrays, reverse, [h]).backward(
        [grad_h.data_ptr()], [grad_last.data_ptr()], grad_u.data_ptr(), [], [], [grad_first.data_ptr()],
        torch.get_num_threads(),
    )  # fmt: skip
    return grad_u, grad_first


@_gated_scan_backward.register_fake
def _(kind: Any, u: Any, first: Any, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(first)


def _save_gated_scan(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.kind, u, first, lengths, ctx.reverse, reset = inputs
    ctx.masks = lengths, reset
    ctx.save_for_backward(u, first, output[0])


def _differentiate_gated_scan(ctx: Any, grad_h: Tensor, grad_last: Tensor) -> tuple[Any, ...]:
    u, first, h = ctx.saved_tensors
    lengths, reset = ctx.masks
    grad_u: Tensor | None
    grad_first: Tensor | None
    if needs_graph((grad_h, grad_last)):
        with torch.enable_grad():
            a, b = COEFFICIENTS[ctx.kind](u)
            output, last = composed_scan([a], [b], [first], lengths, ctx.reverse, reset)
            grad_u, grad_first = _composed_gradients([*output, *last], (u, first), [grad_h, grad_last])
    else:
        grad_u, grad_first = _gated_scan_backward(ctx.kind, u, first, lengths, ctx.reverse, reset, h, grad_h, grad_last)
    return None, grad_u, grad_first, None, None, None


_gated_scan.register_autograd(_differentiate_gated_scan, setup_context=_save_gated_scan)


def _composed_gradients(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], grads: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradient of each input, as a graph; None for inputs that need none."""
    sources = [tensor for tensor in inputs if tensor.requires_grad]
    results = iter(torch.autograd.grad(outputs, sources, grads, create_graph=True))
    return [next(results) if tensor.requires_grad else None for tensor in inputs]


def _engine_scan(gates: str, arrays: Mapping[str, Parts], reverse: bool, h: Parts) -> Scan:
    """The engine's scan that reads ``arrays`` and reads or writes ``h``. Their memory must outlive it.

    Raises ``UsageError`` for an array that does not fit.
    """
    steps, rows, units = (*h[0].shape, 0, 0, 0)[:3]
    blocks = {"mingru": 2, "minlstm": 3}.get(gates, 0)
    sequence, state = (steps, rows, units), (rows, units)
    shapes = {
        "u": (steps, rows, blocks * units), "b": sequence, "a": sequence, "h": sequence, "first": state,
        "lengths": (rows,), "reset": (steps, rows),
    }  # fmt: skip
    for part, h_part in enumerate(h):
        of_part = {name: tensors[part] for name, tensors in arrays.items() if len(tensors) > part}
        check_call(shapes, of_part | {"h": h_part}, repeating=("a",))
    a = arrays.get("a", [])
    by_step, by_row = (a[0].stride(axis) if a[0].shape[axis] > 1 else 0 for axis in (0, 1)) if a else (0, 0)
    lengths, reset = (arrays[name][0].data_ptr() if name in arrays else 0 for name in ("lengths", "reset"))
    u = arrays["u"][0].data_ptr() if blocks else 0
    with native.engine_errors():
        scan: Scan = native.engine().Scan(
            gates, h[0].dtype is torch.float64, steps, rows, units, u, _addresses(a), by_step, by_row,
            _addresses(arrays.get("b", [])), _addresses(arrays["first"]), lengths, reverse, reset, _addresses(h),
        )  # fmt: skip
    return scan


def _masks(lengths: Tensor | None, reset: Tensor | None) -> dict[str, Parts]:
    masks = {"lengths": lengths, "reset": reset}
    return {name: [dense(mask)] for name, mask in masks.items() if mask is not None}


def _dense(tensors: Sequence[Tensor]) -> Parts:
    return [dense(tensor) for tensor in tensors]


def _addresses(tensors: Sequence[Tensor]) -> list[int]:
    return [tensor.data_ptr() for tensor in tensors]
