"""Products of float32 matrices on the CPU by the faster of PyTorch's two libraries.

PyTorch multiplies by MKL. On AMD processors MKL does not use AVX-512; oneDNN, which is a part of PyTorch too, does, and
takes half the time. Which library is taken depends on the processor and on the sizes of the matrices, not on a
measurement, so equal calls give equal bits.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seriatim.ops.eager import has_batched, is_dense_cpu, is_on_cpu, is_plain_eager

SMALLEST = 1 << 22
"""The number of multiply-adds from which oneDNN is faster. Its calls cost about 15 µs, MKL's 2."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """As ``torch.nn.functional.linear``: x [..., I], weight [O, I] and bias [O] → [..., O]. Differentiable."""
    if not (_fits(x, weight) and (bias is None or is_dense_cpu(bias, torch.float32))):
        return functional.linear(x, weight, bias)
    rows = x if x.dim() == 2 else x.reshape(-1, x.shape[-1])
    result: Tensor = _Linear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    return result if x.dim() == 2 else result.view(*x.shape[:-1], len(weight))


def product(a: Tensor, b: Tensor) -> Tensor:
    """a [M, K] · b [K, N] → [M, N]. Differentiable."""
    return linear(a, b.t()) if _fits(a, b.t()) else a @ b


def add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a [M, K] · b [K, N] to ``total`` [M, N], without a gradient."""
    if _fits(a, b.t()):
        total += product(a, b)
    else:
        total.addmm_(a, b)


def _fits(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN multiplies x [..., I] by weight [O, I]ᵀ faster, and the call is an ordinary one."""
    return (
        x.dtype is torch.float32
        and is_plain_eager()
        and x.numel() * len(weight) >= SMALLEST
        and _multiply() is not None
        and is_on_cpu(x, torch.float32)
        and is_on_cpu(weight, torch.float32)
        and weight.dim() == 2
        and x.shape[-1] == weight.shape[1]
        and not has_batched((x, weight))
    )


@functools.cache
def _multiply() -> Callable[..., Tensor] | None:
    """The operator of oneDNN, or None where MKL is as fast, or where PyTorch was built without one of the two."""
    has_both: bool = torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if not (has_both and torch.backends.cpu.get_cpu_capability() == "AVX512" and is_amd()):
        return None
    operator: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return None if operator is None else operator.default


@functools.cache
def is_amd() -> bool:
    """Whether the processor is AMD's."""
    file = Path("/proc/cpuinfo")
    description = file.read_text(encoding="utf-8", errors="replace") if file.exists() else platform.processor()
    return "AuthenticAMD" in description


class _Linear(torch.autograd.Function):
    """x [N, I], weight [O, I] and bias [O] → [N, O]. The backward pass consists of such products, so it has one too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        multiply = _multiply()
        assert multiply is not None
        return multiply(x, weight, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            product(gradient, weight) if for_x else None,
            product(gradient.t(), x) if for_weight else None,
            gradient.sum(0) if for_bias else None,
        )
