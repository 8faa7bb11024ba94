"""Guards of the ways to the engine: which call is ordinary, and which is traced, transformed or differentiated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from seriatim.kernels import native
from seriatim.spec import CellSpec

VARIABLE = "SERIATIM_RECURRENCE"
"""The environment variable that forces an implementation."""
EAGER = "eager"
"""The name of the table's eager row."""

process_choice: str | None = os.environ.get(VARIABLE)
"""The variable's value when the process starts. Reading the environment at each call would cost too much."""
block_choice: ContextVar[str | None] = ContextVar("block_choice", default=None)
"""The implementation that a ``with using(…)`` block forces."""

_is_compiling = torch.compiler.is_compiling
_is_exporting: Any = getattr(torch.compiler, "is_exporting", bool)  # PyTorch 2.6 does not have it
_dispatch_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack
_tracing_state = torch._C._get_tracing_state
_is_any_autocast_enabled = torch._C._is_any_autocast_enabled
_is_grad_enabled = torch.is_grad_enabled
_is_legacy_batched: Any = torch._C._functorch.is_legacy_batchedtensor
_top_saved_tensors_hooks = torch._C._autograd._top_saved_tensors_default_hooks


def forced() -> str | None:
    """The name of the forced implementation, or None."""
    block = None if _is_compiling() else block_choice.get()  # torch.compile cannot read a context variable
    return block or process_choice


def is_plain_eager() -> bool:
    """Whether there is no compiler, tracer, transform, dispatch mode, autocast or forced other implementation."""
    return not (
        _is_compiling()
        or _dispatch_modes()
        or _transforms() is not None
        or _tracing_state() is not None
        or forward_ad._current_level >= 0
        or (block_choice.get() or process_choice or EAGER) != EAGER
        or _is_any_autocast_enabled()
    )


def is_traced_or_transformed(tensors: Iterable[Tensor | None]) -> bool:
    """Whether a call with these tensors has to be an operator that PyTorch knows.

    It is traced or transformed, or a tensor is of a subclass, whose memory may be elsewhere.
    """
    return (
        _is_compiling()
        or _dispatch_modes() > 0
        or _transforms() is not None
        or _tracing_state() is not None
        or not are_exact(tensors)
    )


EXACT_TYPES = (Tensor, torch.nn.Parameter)
"""Types whose values are at ``data_ptr``. A DTensor, a FakeTensor or another subclass may have none there."""


def are_exact(tensors: Iterable[Tensor | None]) -> bool:
    """Whether each tensor is exactly a ``Tensor`` or ``Parameter``, or None.

    Only these have their values at ``data_ptr``. A DTensor, a FakeTensor or another subclass may have none there.
    """
    return all([tensor is None or type(tensor) is Tensor or type(tensor) is torch.nn.Parameter for tensor in tensors])


def is_recorded() -> bool:
    """Whether ``torch.jit.trace`` or ``torch.export`` records a graph that may run with gradients or without."""
    return _tracing_state() is not None or _is_exporting()


def is_onnx_export() -> bool:
    """Whether one of PyTorch's exporters to ONNX records a graph. It knows PyTorch's operators alone."""
    if torch.compiler.is_dynamo_compiling():  # the exporters that use Dynamo try without it first
        return False
    return (_tracing_state() is not None or _dispatch_modes() > 0) and torch.onnx.is_in_onnx_export()


def is_transformed() -> bool:
    """Whether a transform of ``torch.func`` is active. False in compiled code."""
    return not _is_compiling() and _transforms() is not None


def is_nested_gradient() -> bool:
    """Whether ``torch.func`` computes a gradient of a gradient."""
    if not is_transformed():
        return False
    transforms = [interpreter.key() for interpreter in torch._C._functorch.get_interpreter_stack() or ()]
    return transforms.count(torch._C._functorch.TransformType.Grad) > 1


def is_forward_mode() -> bool:
    """Whether derivatives are computed in forward mode."""
    return forward_ad._current_level >= 0


def needs_gradient(tensors: Iterable[Tensor | None]) -> bool:
    """Whether autograd records operations on any of these tensors."""
    return _is_grad_enabled() and any([tensor is not None and tensor.requires_grad for tensor in tensors])


def needs_graph(grads: Iterable[Tensor | None]) -> bool:
    """Whether a backward that receives ``grads`` has to consist of operations that PyTorch can differentiate or map."""
    if _is_grad_enabled() or _transforms() is not None or _dispatch_modes():
        return True
    for grad in grads:  # noqa: SIM110 (a step of a cell calls this, and ``any`` costs more)
        if grad is not None and (type(grad) is not Tensor or _is_legacy_batched(grad)):
            return True
    return False


def has_batched(grads: Iterable[Tensor | None]) -> bool:
    """Whether some of these gradients are batched, by ``is_grads_batched=True``. False in compiled code."""
    return not _is_compiling() and any([grad is not None and _is_legacy_batched(grad) for grad in grads])


def has_saved_tensors_hooks() -> bool:
    """Whether hooks change the tensors that autograd saves. They may return other strides."""
    return _top_saved_tensors_hooks(True) is not None


def is_on_cpu(tensor: Any, dtype: torch.dtype) -> bool:
    """Whether this is an ordinary tensor of that dtype on the CPU."""
    type_ = type(tensor)
    return (
        (type_ is Tensor or type_ is torch.nn.Parameter)
        and tensor.dtype is dtype
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and not tensor.is_neg()
    )


def is_dense_cpu(tensor: Any, dtype: torch.dtype) -> bool:
    """Whether this is an ordinary contiguous tensor of that dtype on the CPU."""
    return is_on_cpu(tensor, dtype) and tensor.is_contiguous()


def is_standard_cell(spec: CellSpec) -> bool:
    """Whether PyTorch has this cell too, and it has no projection."""
    is_variant = spec.proj_size or spec.peephole or spec.layer_norm or not spec.reset_after
    return spec.kind in ("rnn", "lstm", "gru") and not is_variant and native.fuses(spec)
