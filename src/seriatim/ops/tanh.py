"""tanh of large float32 tensors on the CPU by the faster of two libraries.

PyTorch computes it by MKL, which takes 2 ns for a number on AMD processors; NumPy takes 0.2 ns. NumPy runs on one
thread, so PyTorch is faster on many. The results differ by rounding: both are within 1e-7 of tanh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from seriatim.ops.eager import has_batched, is_dense_cpu, is_plain_eager
from seriatim.ops.products import is_amd

SMALLEST = 1 << 12
"""The number of elements from which NumPy is faster."""
MOST_THREADS = 8
"""The number of threads up to which NumPy is faster."""


def tanh_(x: Tensor) -> Tensor:
    """tanh of x, which is overwritten: nothing else may need it. Differentiable."""
    if not _fits(x):
        return x.tanh_()
    if torch.is_grad_enabled() and x.requires_grad:
        result: Tensor = _Tanh.apply(x)  # type: ignore[no-untyped-call]  # PyTorch gives apply no types
        return result
    _overwrite(x)
    return x


def _fits(x: Tensor) -> bool:
    return (
        x.dtype is torch.float32
        and x.numel() >= SMALLEST
        and is_plain_eager()
        and is_amd()
        and torch.get_num_threads() <= MOST_THREADS
        and is_dense_cpu(x, torch.float32)
        and not has_batched((x,))
    )


def _overwrite(x: Tensor) -> None:
    values = x.detach().numpy()
    np.tanh(values, out=values)


class _Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        _overwrite(x)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        result: Tensor = torch.ops.aten.tanh_backward(gradient, y)
        return result
