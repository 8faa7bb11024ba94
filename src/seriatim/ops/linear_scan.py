"""The diagonal linear recurrence as a PyTorch operator: h_t = a_t ⊙ h_{t-1} + b_t, of real or of complex numbers.

A complex sequence is two tensors, its real parts and its imaginary ones. The engine walks over it once in each
direction; without the engine, and for derivatives of derivatives, a loop of plain PyTorch operations does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.engine import array

Parts = list[Tensor]
"""One tensor of real numbers, or two of complex ones."""


def scan(
    a: Sequence[Tensor], b: Sequence[Tensor], first: Sequence[Tensor], lengths: Tensor | None, reverse: bool,
    reset: Tensor | None,
) -> tuple[Parts, Parts]:  # fmt: skip
    """Run h_t = a_t ⊙ h_{t-1} + b_t from ``first`` [B, H].

    b is [T, B, H], and a the same, or 1 wide in T or in B; ``lengths`` [B], ``reverse`` and ``reset`` [T, B] are as
    ``kernels.walk`` describes them. Returns h [T, B, H], 0 beyond a row's length, and the state after the last step.
    """
    if by_engine(b[0]):
        found: Parts = _scan(list(a), list(b), list(first), lengths, reverse, reset)
        return found[: len(b)], found[len(b) :]
    return plain(a, b, first, lengths, reverse, reset)


def by_engine(x: Tensor) -> bool:
    """Whether the engine scans sequences of this dtype on this device."""
    return x.is_cpu and x.dtype in (torch.float32, torch.float64) and native.ready()


def plain(
    a: Sequence[Tensor], b: Sequence[Tensor], first: Sequence[Tensor], lengths: Tensor | None, reverse: bool,
    reset: Tensor | None,
) -> tuple[Parts, Parts]:  # fmt: skip
    """``scan`` step by step in plain operations."""
    steps = len(b[0])
    wide = [one.expand(steps, *one.shape[1:]) for one in a]
    h = list(first)
    output: list[list[Tensor]] = [[] for _ in range(steps)]
    for t in reversed(range(steps)) if reverse else range(steps):
        here = [one[t] for one in wide]
        before = h if reset is None else [one.masked_fill(reset[t, :, None], 0) for one in h]
        after = [one + more[t] for one, more in zip(_product(here, before), b, strict=True)]
        if lengths is None:
            h = output[t] = after
        else:
            alive = (t < lengths.to(b[0].device))[:, None]
            output[t] = [one.masked_fill(~alive, 0) for one in after]
            h = [torch.where(alive, new, old) for new, old in zip(after, h, strict=True)]
    return [torch.stack(one) for one in zip(*output, strict=True)], h


def _product(a: Sequence[Tensor], h: Sequence[Tensor]) -> Parts:
    if len(a) == 1:
        return [a[0] * h[0]]
    return [a[0] * h[0] - a[1] * h[1], a[0] * h[1] + a[1] * h[0]]


@torch.library.custom_op("seriatim::scan", mutates_args=(), device_types="cpu")
def _scan(
    a: list[Tensor], b: list[Tensor], first: list[Tensor], lengths: Tensor | None, reverse: bool, reset: Tensor | None
) -> list[Tensor]:
    a, b, first = _dense(a), _dense(b), _dense(first)
    h, last = [torch.empty_like(one) for one in b], [torch.empty_like(one) for one in first]
    native.engine().scan(
        _arrays(a), _arrays(b), _arrays(first), array(lengths), reverse, array(reset), _arrays(h), _arrays(last),
        torch.get_num_threads(),
    )  # fmt: skip
    return [*h, *last]


@_scan.register_fake
def _(a: Any, b: Any, first: Any, lengths: Any, reverse: Any, reset: Any) -> list[Tensor]:
    return [torch.empty_like(one) for one in (*b, *first)]


@torch.library.custom_op("seriatim::scan_backward", mutates_args=(), device_types="cpu")
def _scan_backward(
    a: list[Tensor], b: list[Tensor], first: list[Tensor], lengths: Tensor | None, reverse: bool, reset: Tensor | None,
    h: list[Tensor], grads: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    parts = len(b)
    a, b, first, grads = _dense(a), _dense(b), _dense(first), _dense(grads)
    steps, rows, units = b[0].shape
    of_a = [b[0].new_empty(1 if len(a[0]) == 1 else steps, rows, units) for _ in a]
    of_b, of_first = [torch.empty_like(one) for one in b], [torch.empty_like(one) for one in first]
    native.engine().scan_backward(
        _arrays(a), _arrays(b), _arrays(first), array(lengths), reverse, array(reset), _arrays(h),
        _arrays(grads[:parts]), _arrays(grads[parts:]), _arrays(of_a), _arrays(of_b), _arrays(of_first),
        torch.get_num_threads(),
    )  # fmt: skip
    narrow = [one.sum(1, keepdim=True) if given.shape[1] < rows else one for one, given in zip(of_a, a, strict=True)]
    return [*narrow, *of_b, *of_first]


@_scan_backward.register_fake
def _(a: Any, b: Any, first: Any, lengths: Any, reverse: Any, reset: Any, h: Any, grads: Any) -> list[Tensor]:
    return [torch.empty_like(one) for one in (*a, *b, *first)]


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    a, b, first, lengths, reverse, reset = inputs
    ctx.parts, ctx.reverse, ctx.masks = len(b), reverse, (lengths, reset)
    ctx.save_for_backward(*a, *b, *first, *output[: len(b)])


def _back(ctx: Any, grads: list[Tensor]) -> tuple[Any, ...]:
    parts = ctx.parts
    saved = ctx.saved_tensors
    a, b, first, h = (list(saved[at : at + parts]) for at in range(0, 4 * parts, parts))
    lengths, reset = ctx.masks
    if torch.is_grad_enabled():
        output, last = plain(a, b, first, lengths, ctx.reverse, reset)
        wanted = [one for one in (*a, *b, *first) if one.requires_grad]
        found = iter(torch.autograd.grad([*output, *last], wanted, grads, create_graph=True))
        every: list[Tensor | None] = [next(found) if one.requires_grad else None for one in (*a, *b, *first)]
    else:
        every = [*_scan_backward(a, b, first, lengths, ctx.reverse, reset, h, grads)]
    return every[:parts], every[parts : 2 * parts], every[2 * parts :], None, None, None


_scan.register_autograd(_back, setup_context=_remember)


def _dense(tensors: list[Tensor]) -> list[Tensor]:
    return [one.contiguous() for one in tensors]


def _arrays(tensors: Sequence[Tensor]) -> list[object]:
    return [array(one.detach()) for one in tensors]
