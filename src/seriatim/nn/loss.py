"""The cross-entropy over a large vocabulary, computed in chunks of rows to save memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from seriatim.ops.products import add_product, linear, product

CHUNK = 1 << 23
"""The number of logits of a chunk: 32 MB in float32. Smaller chunks update the weight's gradient too often."""
LEAST_ROWS = 64
"""The least number of rows of a chunk, however large the vocabulary; the weight itself is about as large."""
WHOLE = 1 << 20
"""Up to this number of logits PyTorch's own functions are faster."""


def linear_cross_entropy(
    states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, ignore_index: int = -1
) -> Tensor:
    """Mean negative log-likelihood in nats of ``targets`` under ``softmax(states · weightᵀ + bias)``: a scalar.

    ``states`` [N, H], ``weight`` [V, H], ``bias`` [V] or None, ``targets`` [N] int64. Rows whose target is
    ``ignore_index`` do not count; if no row counts, the mean is NaN, as in PyTorch. The result equals ``cross_entropy``
    of ``linear``, but [N, V] is never in memory: the rows are processed in chunks, and each chunk's logits are replaced
    in place by their gradient (softmax - one-hot), without a second product. It can therefore be differentiated once.
    Under ``autocast`` products are in its dtype, the softmax and all sums in float32.
    """
    device = states.device.type
    compute = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype
    exact = torch.promote_types(compute, torch.float32)
    if len(targets) * len(weight) <= WHOLE:
        logits = linear(states, weight, bias)
        return functional.cross_entropy(logits.to(exact), targets, ignore_index=ignore_index)
    if not torch.is_grad_enabled():
        states, weight, bias = states.detach(), weight.detach(), None if bias is None else bias.detach()
    with torch.autocast(device, enabled=False):
        loss: Tensor = _Chunked.apply(  # type: ignore[no-untyped-call]
            states, weight, bias, targets, ignore_index, compute, exact
        )
    return loss


@torch.no_grad()
def linear_nll(states: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Negative log-likelihood of each target, [N]: ``linear_cross_entropy`` before the mean, without gradient."""
    rows = _rows(weight)
    parts = []
    for part, part_targets in zip(torch.split(states, rows), torch.split(targets, rows), strict=True):
        logits = linear(part, weight, bias)
        exact = torch.promote_types(logits.dtype, torch.float32)
        parts.append(functional.cross_entropy(logits.to(exact), part_targets, reduction="none"))
    return torch.cat(parts)


def _rows(weight: Tensor) -> int:
    """The number of rows of a chunk."""
    return max(LEAST_ROWS, CHUNK // len(weight))


class _Chunked(torch.autograd.Function):
    """The loss as a sum over chunks of rows. The forward pass computes the gradients too."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        ignore_index: int,
        compute: torch.dtype,
        exact: torch.dtype,
    ) -> Tensor:
        for_states, for_weight, for_bias = ctx.needs_input_grad[:3]
        needs_gradient = for_states or for_weight or for_bias
        d_states = torch.empty_like(states) if for_states else None
        d_weight: Tensor | None = None
        d_bias = torch.zeros_like(weight[:, 0], dtype=exact) if for_bias else None
        rows = _rows(weight)
        counted = (targets != ignore_index).to(exact)
        shares = counted / counted.sum()  # the share of each row in the mean
        indices = targets.masked_fill(targets == ignore_index, 0)[:, None]
        total = states.new_zeros((), dtype=exact)
        matrix = weight.to(compute)
        for chunk in (slice(start, start + rows) for start in range(0, len(states), rows)):
            part, share, target = states[chunk].to(compute), shares[chunk, None], indices[chunk]
            logits = product(part, matrix.t()).to(exact)
            if bias is not None:
                logits += bias
            peak, target_logits = logits.amax(1, keepdim=True), logits.gather(1, target)
            sums = logits.sub_(peak).exp_().sum(1, keepdim=True)
            total += (share * (sums.log() + peak - target_logits)).sum()
            if not needs_gradient:
                continue
            logits.mul_(share / sums).scatter_add_(1, target, -share)
            gradient = logits.to(compute)
            if d_states is not None:
                d_states[chunk] = product(gradient, matrix)
            if for_weight and d_weight is None:
                d_weight = product(gradient.t(), part).to(exact)
            elif d_weight is not None and compute == exact:
                add_product(d_weight, gradient.t(), part)
            elif d_weight is not None:
                d_weight += gradient.t() @ part
            if d_bias is not None:
                d_bias += logits.sum(0)
        if for_weight and d_weight is None:  # no rows
            d_weight = torch.zeros_like(weight, dtype=exact)
        ctx.save_for_backward(d_states, d_weight, d_bias)
        ctx.dtypes = (states.dtype, weight.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        # ``loss.backward()`` gives 1. The gradients are then returned as they are, under a new name: autograd may keep
        # them as ``.grad`` without a copy, and notices if one that was changed is asked for again.
        is_one = float(upstream) == 1.0
        scaled = (
            None if gradient is None else (gradient.detach() if is_one else gradient * upstream).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*scaled, None, None, None, None)
