"""Base classes of the cells."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from seriatim.nn import checks
from seriatim.nn.graph_nodes import module_node
from seriatim.nn.recurrent import describe, draw_uniform, gather, plain_state, weight_names, weight_shapes
from seriatim.ops.recurrence import eager_cell, step
from seriatim.spec import CellSpec

StateT = TypeVar("StateT")

DERIVED = ("spec", "_names", "_eager", "_states", "_sizes")
"""The attributes that a pickle does not have."""


class RecurrentCell(nn.Module):
    """Base class of the cells. Parameters have PyTorch's names, shapes and order: ``weight_ih``, ``weight_hh``, …"""

    def __init__(self, spec: CellSpec, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        nn.Module.__init__(self)  # the next class may be PyTorch's cell
        self.input_size = checks.size("input_size", spec.input_size)
        self.hidden_size = checks.size("hidden_size", spec.hidden_size)
        self.proj_size = spec.proj_size
        self.bias = checks.flag("bias", spec.bias)
        self.peephole = checks.flag("peephole", spec.peephole)
        self.reset_after = checks.flag("reset_after", spec.reset_after)
        self.layer_norm = checks.flag("layer_norm", spec.layer_norm)
        self.clip = spec.clip
        self._derive(spec)
        for name, shape in weight_shapes(spec).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def _derive(self, spec: CellSpec) -> None:
        """Set the attributes that follow from the spec. ``DERIVED`` has their names."""
        self.spec = spec
        self._names = weight_names(spec)
        self._eager = eager_cell(spec, tuple(name for name in self._names if name is not None))
        self._states, self._sizes = spec.states, tuple(map(spec.state_size, spec.states))

    def __getstate__(self) -> dict[str, Any]:
        return plain_state(self, DERIVED)

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__setstate__(self, state)  # type: ignore[no-untyped-call]
        self._derive(CellSpec(**self.__dict__.pop("cell")))

    def reset_parameters(self) -> None:
        """Draw every weight from U(-1/√H, 1/√H), in PyTorch's order: the same seed gives the same weights."""
        draw_uniform(self, self.hidden_size)

    def advance(self, x: Tensor, hx: object) -> tuple[Tensor, ...]:
        """One step: x [B, I] or [I] and the state in the caller's form → the next state as a tuple."""
        if self._eager is not None:
            next_state = self._eager.step(self._parameters, x, hx)
            if next_state is not None:
                return next_state
        if isinstance(x, Proxy):
            return (module_node(self, x, hx),)
        by_pytorch = self.advance_by_pytorch(x, hx)
        if by_pytorch is not None:
            return by_pytorch
        checks.dimensions("input", x, {1: "[I]", 2: "[B, I]"})
        checks.width(x, self.input_size)
        weights = gather(self, self._names)
        checks.same_dtype_and_device("input", x, weights.w_ih)
        leading = x.shape[:-1]
        state = checks.states(hx, self._states)
        if state is None:
            state = tuple([x.new_zeros(*leading, size) for size in self._sizes])
        else:
            for part, name, size in zip(state, self._states, self._sizes, strict=True):
                checks.state(part, name, (*leading, size), weights.w_ih)
        if x.dim() == 2:
            return step(self.spec, x, state, weights)
        batch = step(self.spec, x.unsqueeze(0), tuple(part.unsqueeze(0) for part in state), weights)
        return tuple(part.squeeze(0) for part in batch)

    def advance_by_pytorch(self, x: Tensor, hx: Any) -> tuple[Tensor, ...] | None:
        """One step by PyTorch's own cell where its exporters need that; None where they do not, and for other cells."""
        return None

    def extra_repr(self) -> str:
        return describe(self)


class CallableCell(RecurrentCell, Generic[StateT]):
    """A cell whose calls take and return the state as ``StateT``: one tensor for one state, a tuple for several."""

    def forward(self, input: Tensor, hx: StateT | None = None) -> StateT:
        """x [B, I] and the state, [B, ·] each, or zeros → the next state. For one row x is [I] and states are [·]."""
        state: Any = self.advance(input, hx)
        return state if len(state) > 1 else state[0]  # type: ignore[no-any-return]
