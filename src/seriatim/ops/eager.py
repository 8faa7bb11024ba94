"""What makes a call an ordinary one, which may take a short way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from seriatim.kernels import native
from seriatim.ops.native import FULL
from seriatim.ops.recurrence import forced
from seriatim.spec import CellSpec

Parameters = Mapping[str, "Tensor | None"]

_is_compiling = torch.compiler.is_compiling
_dispatch_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._functorch.peek_interpreter_stack
_tracing = torch._C._get_tracing_state
_any_autocast = torch._C._is_any_autocast_enabled


def nothing_special() -> bool:
    """Whether no compiler, tracer, transform, dispatch mode, autocast or forced implementation is at work."""
    return not (
        _is_compiling()
        or _dispatch_modes()
        or _transforms() is not None
        or _tracing() is not None
        or forward_ad._current_level >= 0
        or forced()
        or _any_autocast()
    )


def is_on_cpu(one: Any, dtype: torch.dtype) -> bool:
    """Whether this is a plain tensor of that dtype on the CPU."""
    kind = type(one)
    return (
        (kind is Tensor or kind is torch.nn.Parameter)
        and one.dtype is dtype
        and one.is_cpu
        and one.layout is torch.strided
        and not one.is_neg()
    )


def is_ordinary(one: Any, dtype: torch.dtype) -> bool:
    """The same, and contiguous."""
    return is_on_cpu(one, dtype) and one.is_contiguous()


def is_plain(spec: CellSpec) -> bool:
    """Whether this is a cell that PyTorch has too, without a projection."""
    variants = spec.kind == "slstm" or spec.proj_size or spec.peephole or spec.layer_norm or not spec.reset_after
    return native.fuses(spec) and not variants


def holdable(
    parameters: Parameters, names: tuple[str, ...], dtypes: tuple[torch.dtype, ...] = FULL
) -> tuple[Tensor, ...] | None:
    """The parameters of these names if they can be held: in this process's own memory, with versions."""
    weights = tuple([one for one in map(parameters.get, names) if one is not None])
    if len(weights) != len(names) or weights[0].dtype not in dtypes or not native.ready():
        return None
    for one in weights:
        if not is_ordinary(one, weights[0].dtype) or one.is_inference() or one.untyped_storage().is_shared():
            return None
    return weights
