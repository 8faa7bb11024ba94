"""Weights that a module keeps packed between its calls, and what makes a call an ordinary one.

Weights are held for as long as they are as they were: the same tensors, in the same memory, of the same version, and
with the same values (of a weight beyond 16 kB at a few places), since what is done to ``weight.data`` escapes the
version. All of that is asked at every call, in two microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from seriatim.kernels import native
from seriatim.ops.engine import Plan, pack
from seriatim.ops.recurrence import forced
from seriatim.spec import CellSpec

Parameters = Mapping[str, "Tensor | None"]

_threads = torch.get_num_threads
_address_of: Any = Tensor.data_ptr
_version_of = attrgetter("_version")
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
    return spec.kind in native.KINDS and not (
        spec.proj_size or spec.peephole or spec.layer_norm or not spec.reset_after
    )


class Held:
    """The weights of one plain cell as they are now, packed. There are two of them, or with biases four."""

    def __init__(self, spec: CellSpec, names: tuple[str, ...], weights: tuple[Tensor, ...]) -> None:
        self.spec = spec
        self.plan = Plan(spec, False, False)
        self.cell = self.plan.cell
        self.states = len(spec.states)
        self.keeps_slots = spec.kind != "rnn"  # of a plain RNN, h says it all
        self.dtype = weights[0].dtype
        self.absent = [0] * (10 - len(weights))
        """The addresses of the weights that such a cell does not have."""
        self.wide = self.dtype is torch.float64
        self.names = names
        self.weights = weights
        self.versions = [one._version for one in weights]
        self.addresses = [one.data_ptr() for one in weights]
        self.memory = tuple(one.detach() for one in weights)
        """Keeps what is at the addresses, and shares its versions, even if a weight is given other memory."""
        self.packed = pack(self.cell, [*self.memory, *(None for _ in range(10 - len(weights)))], _threads())

    def unchanged(self) -> bool:
        """Whether the weights are as they were."""
        addresses = list(map(_address_of, self.weights))
        return (
            list(map(_version_of, self.weights)) == self.versions
            and addresses == self.addresses
            and self.packed.holds(addresses)
        )

    def refuse_changes(self) -> None:
        """Raise as PyTorch does if weights have been changed since."""
        if list(map(_version_of, self.memory)) == self.versions:
            return
        for name, one, version in zip(self.names, self.memory, self.versions, strict=True):
            if one._version != version:
                raise RuntimeError(
                    f"{name}: a variable needed for gradient computation has been modified by an inplace operation: it "
                    f"is at version {one._version}, expected version {version}"
                )


def holdable(parameters: Parameters, names: tuple[str, ...]) -> tuple[Tensor, ...] | None:
    """The parameters of these names if they can be held: in this process's own memory, with versions."""
    weights = tuple([one for one in map(parameters.get, names) if one is not None])
    if len(weights) != len(names) or weights[0].dtype not in (torch.float32, torch.float64) or not native.ready():
        return None
    for one in weights:
        if not is_ordinary(one, weights[0].dtype) or one.is_inference() or one.is_shared():  # type: ignore[no-untyped-call]
            return None
    return weights
