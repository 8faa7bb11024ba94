"""One step of a recurrence: drop-in for ``torch.nn.RNNCell``, ``LSTMCell`` and ``GRUCell``.

    h = cell(x)          x [B, I] → h [B, H]; or one row, x [I] → h [H]
    h = cell(x, h)       LSTMCell has (h, c) in place of h

The equations and the variants are those of the layers (``layers.py``): ``peephole``, ``reset_after``, ``proj_size``,
``layer_norm`` and ``clip``, which PyTorch's cells lack. What is drawn for a whole sequence is the layers' alone.
Arguments that do not fit raise ``UsageError``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seriatim.nn import checks
from seriatim.nn.recurrent import described, draw_uniform, gather, weight_names, weight_shapes
from seriatim.ops.eager_cells import Stepping
from seriatim.ops.recurrence import step
from seriatim.spec import CellSpec


class RecurrentCell(nn.Module):
    """What the cells share. Parameters have PyTorch's names, shapes and order: ``weight_ih``, ``weight_hh``, …"""

    def __init__(self, spec: CellSpec, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.spec = spec
        self.input_size = checks.size("input_size", spec.input_size)
        self.hidden_size = checks.size("hidden_size", spec.hidden_size)
        self.proj_size = spec.proj_size
        self.bias = checks.flag("bias", spec.bias)
        self.peephole = checks.flag("peephole", spec.peephole)
        self.reset_after = checks.flag("reset_after", spec.reset_after)
        self.layer_norm = checks.flag("layer_norm", spec.layer_norm)
        self.clip = spec.clip
        self._names = weight_names(spec)
        self._stepping = Stepping(spec, tuple(name for name in self._names if name is not None))
        self._states, self._sizes = spec.states, tuple(map(spec.state_size, spec.states))
        for name, shape in weight_shapes(spec).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight from U(-1/√H, 1/√H), in PyTorch's order: the same seed gives the same weights."""
        draw_uniform(self, self.hidden_size)

    def advance(self, x: Tensor, hx: object) -> tuple[Tensor, ...]:
        """One step: x [B, I] or [I] and the state in the caller's form → the next state as a tuple."""
        ordinary = self._stepping.step(self._parameters, x, hx)
        if ordinary is not None:
            return ordinary
        checks.dimensions("input", x, {1: "[I]", 2: "[B, I]"})
        checks.width(x, self.input_size)
        weights = gather(self, self._names)
        checks.same_kind("input", x, weights.w_ih)
        leading = x.shape[:-1]
        state = checks.states(hx, self._states)
        if state is None:
            state = tuple([x.new_zeros(*leading, size) for size in self._sizes])
        else:
            for one, name, size in zip(state, self._states, self._sizes, strict=True):
                checks.state(one, name, (*leading, size), weights.w_ih)
        if x.dim() == 2:
            return step(self.spec, x, state, weights)
        alone = step(self.spec, x.unsqueeze(0), tuple(one.unsqueeze(0) for one in state), weights)
        return tuple(one.squeeze(0) for one in alone)

    def extra_repr(self) -> str:
        return described(self)


class RNNCell(RecurrentCell):
    """One step of ``RNN``; ``nonlinearity`` is tanh, relu or sigmoid."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        layer_norm: bool = False,
        clip: float = 0.0,
    ) -> None:
        spec = CellSpec(
            "rnn", input_size, hidden_size, activation=nonlinearity, bias=bias, proj_size=proj_size,
            layer_norm=layer_norm, clip=clip,
        )  # fmt: skip
        super().__init__(spec, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """x [B, I], h [B, H] → h [B, H]."""
        (h,) = self.advance(input, hx)
        return h


class GRUCell(RecurrentCell):
    """One step of ``GRU``, of (h, c) in place of h where it is projected."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        reset_after: bool = True,
        layer_norm: bool = False,
        clip: float = 0.0,
    ) -> None:
        spec = CellSpec(
            "gru", input_size, hidden_size, bias=bias, proj_size=proj_size, reset_after=reset_after,
            layer_norm=layer_norm, clip=clip,
        )  # fmt: skip
        super().__init__(spec, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """x [B, I], h [B, H] → h [B, H]."""
        after: Any = self.advance(input, hx)
        return after[0] if len(after) == 1 else after  # type: ignore[no-any-return]


class LSTMCell(RecurrentCell):
    """One step of ``LSTM``."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        peephole: bool = False,
        layer_norm: bool = False,
        clip: float = 0.0,
    ) -> None:
        spec = CellSpec(
            "lstm", input_size, hidden_size, bias=bias, proj_size=proj_size, peephole=peephole,
            layer_norm=layer_norm, clip=clip,
        )  # fmt: skip
        super().__init__(spec, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """x [B, I], (h [B, H], c [B, H]) → (h, c)."""
        h, c = self.advance(input, hx)
        return h, c
