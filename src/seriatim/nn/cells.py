"""One step of a recurrence: drop-in for ``torch.nn.RNNCell``, ``LSTMCell`` and ``GRUCell``.

    h = cell(x)          x [B, I] → h [B, H]; or one row, x [I] → h [H]
    h = cell(x, h)       LSTMCell has (h, c) in place of h

Equations and variants are the same as in the layers (``layers.py``): ``peephole``, ``coupled``, ``reset_after``,
``proj_size``, ``layer_norm`` and ``clip``, which PyTorch's cells do not have. Only layers have random masks, which are
drawn for a whole sequence. Arguments that do not fit raise ``UsageError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from seriatim.nn import checks
from seriatim.nn.constructors import NormOptions, constructor
from seriatim.nn.recurrent import describe, draw_uniform, gather, weight_names, weight_shapes
from seriatim.ops.recurrence import eager_cell, step
from seriatim.spec import CellSpec

if TYPE_CHECKING:
    from typing_extensions import Unpack

Device: TypeAlias = torch.device | str | None
Pair: TypeAlias = tuple[Tensor, Tensor]
StateT = TypeVar("StateT")


class RecurrentCell(nn.Module):
    """Base class of the cells. Parameters have PyTorch's names, shapes and order: ``weight_ih``, ``weight_hh``, …"""

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
        self._eager = eager_cell(spec, tuple(name for name in self._names if name is not None))
        self._states, self._sizes = spec.states, tuple(map(spec.state_size, spec.states))
        for name, shape in weight_shapes(spec).items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every weight from U(-1/√H, 1/√H), in PyTorch's order: the same seed gives the same weights."""
        draw_uniform(self, self.hidden_size)

    def advance(self, x: Tensor, hx: object) -> tuple[Tensor, ...]:
        """One step: x [B, I] or [I] and the state in the caller's form → the next state as a tuple."""
        if self._eager is not None:
            next_state = self._eager.step(self._parameters, x, hx)
            if next_state is not None:
                return next_state
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

    def extra_repr(self) -> str:
        return describe(self)


class CallableCell(RecurrentCell, Generic[StateT]):
    """A cell whose calls take and return the state as ``StateT``: one tensor for one state, a tuple for several."""

    def forward(self, input: Tensor, hx: StateT | None = None) -> StateT:
        """x [B, I] and the state, [B, ·] each, or zeros → the next state. For one row x is [I] and states are [·]."""
        state: Any = self.advance(input, hx)
        return state if len(state) > 1 else state[0]  # type: ignore[no-any-return]


class RNNCell(CallableCell[Tensor]):
    """One step of ``RNN``: x [B, I], h [B, H] → h [B, H]. ``nonlinearity`` is tanh, relu or sigmoid.

    Raises ``UsageError`` for arguments that do not fit.

    >>> cell = RNNCell(8, 16)
    >>> h = cell(torch.randn(3, 8))
    >>> cell(torch.randn(3, 8), h).shape
    torch.Size([3, 16])
    """

    kind = "rnn"

    @constructor(RecurrentCell, NormOptions)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        **options: Unpack[NormOptions],
    ) -> None:
        self.nonlinearity = nonlinearity


class GRUCell(CallableCell[Tensor]):
    """One step of ``GRU``: x [B, I], h [B, H] → h [B, H]; with ``proj_size`` the state is (h [B, P], c [B, H]).

    Raises ``UsageError`` for arguments that do not fit.

    >>> cell = GRUCell(8, 16)
    >>> cell(torch.randn(3, 8), torch.zeros(3, 16)).shape
    torch.Size([3, 16])
    """

    kind = "gru"

    @constructor(RecurrentCell, NormOptions)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        reset_after: bool = True,
        **options: Unpack[NormOptions],
    ) -> None: ...


class LSTMCell(CallableCell[Pair]):
    """One step of ``LSTM``: x [B, I], (h [B, H], c [B, H]) → the next (h, c); with ``proj_size`` h is [B, P].

    Raises ``UsageError`` for arguments that do not fit.

    >>> cell = LSTMCell(8, 16)
    >>> h, c = cell(torch.randn(3, 8))
    >>> h.shape, c.shape
    (torch.Size([3, 16]), torch.Size([3, 16]))
    """

    kind = "lstm"

    @constructor(RecurrentCell, NormOptions)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        peephole: bool = False,
        coupled: bool = False,
        **options: Unpack[NormOptions],
    ) -> None:
        self.coupled = coupled
