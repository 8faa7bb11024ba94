"""minGRU and minLSTM out of the input part of all their gates, as one PyTorch operator.

The engine makes the gates on the way (``native/src/minimal.h``), so that u is read and h is written and nothing else.
For derivatives of derivatives the same is made of plain operations and ``scan``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.composed import positive
from seriatim.ops.engine import array
from seriatim.ops.linear_scan import plain


def mingru(u: Tensor) -> tuple[Tensor, Tensor]:
    """a and b of h_t = a_t ⊙ h_{t-1} + b_t, [T, B, H] each, out of u [T, B, 2·H]."""
    u_z, u_n = u.chunk(2, dim=-1)
    z = torch.sigmoid(u_z)
    return 1 - z, z * positive(u_n)


def minlstm(u: Tensor) -> tuple[Tensor, Tensor]:
    """The same out of u [T, B, 3·H]."""
    u_f, u_i, u_g = u.chunk(3, dim=-1)
    s = torch.sigmoid(torch.nn.functional.logsigmoid(u_f) - torch.nn.functional.logsigmoid(u_i))
    return s, (1 - s) * positive(u_g)


COEFFICIENTS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {"mingru": mingru, "minlstm": minlstm}


def gated_scan(
    kind: str, u: Tensor, first: Tensor, lengths: Tensor | None, reverse: bool, reset: Tensor | None
) -> tuple[Tensor, Tensor]:
    """h [T, B, H] and the last state [B, H] of ``mingru`` or ``minlstm``; otherwise as ``scan``."""
    h, last = _gated(kind, u, first, lengths, reverse, reset)
    return h, last


@torch.library.custom_op("seriatim::gated_scan", mutates_args=(), device_types="cpu")
def _gated(
    kind: str, u: Tensor, first: Tensor, lengths: Tensor | None, reverse: bool, reset: Tensor | None
) -> tuple[Tensor, Tensor]:
    u, first = u.contiguous(), first.contiguous()
    h, last = u.new_empty(*u.shape[:2], first.shape[1]), torch.empty_like(first)
    native.engine().gated_scan(
        kind, array(u.detach()), array(first.detach()), array(lengths), reverse, array(reset), array(h), array(last),
        torch.get_num_threads(),
    )  # fmt: skip
    return h, last


@_gated.register_fake
def _(kind: Any, u: Any, first: Any, lengths: Any, reverse: Any, reset: Any) -> tuple[Tensor, Tensor]:
    return u.new_empty(u.shape[0], u.shape[1], first.shape[1]), torch.empty_like(first)


@torch.library.custom_op("seriatim::gated_scan_backward", mutates_args=(), device_types="cpu")
def _gated_backward(
    kind: str, u: Tensor, first: Tensor, lengths: Tensor | None, reverse: bool, reset: Tensor | None, h: Tensor,
    grad_h: Tensor, grad_last: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    u, first = u.contiguous(), first.contiguous()
    grad_u, grad_first = torch.empty_like(u), torch.empty_like(first)
    native.engine().gated_scan_backward(
        kind, array(u), array(first), array(lengths), reverse, array(reset), array(h), array(grad_h), array(grad_last),
        array(grad_u), array(grad_first), torch.get_num_threads(),
    )  # fmt: skip
    return grad_u, grad_first


@_gated_backward.register_fake
def _(kind: Any, u: Any, first: Any, *_: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(u), torch.empty_like(first)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.kind, u, first, lengths, ctx.reverse, reset = inputs
    ctx.masks = lengths, reset
    ctx.save_for_backward(u, first, output[0])


def _back(ctx: Any, grad_h: Tensor, grad_last: Tensor) -> tuple[Any, ...]:
    u, first, h = ctx.saved_tensors
    lengths, reset = ctx.masks
    if torch.is_grad_enabled():
        a, b = COEFFICIENTS[ctx.kind](u)
        again, last = plain([a], [b], [first], lengths, ctx.reverse, reset)
        wanted = [one for one in (u, first) if one.requires_grad]
        found = iter(torch.autograd.grad([*again, *last], wanted, [grad_h, grad_last], create_graph=True))
        of_u, of_first = (next(found) if one.requires_grad else None for one in (u, first))
    else:
        of_u, of_first = _gated_backward(ctx.kind, u, first, lengths, ctx.reverse, reset, h, grad_h, grad_last)
    return None, of_u, of_first, None, None, None


_gated.register_autograd(_back, setup_context=_remember)
