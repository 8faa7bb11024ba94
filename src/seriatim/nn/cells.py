"""One step of a recurrence: drop-in for ``torch.nn.RNNCell``, ``LSTMCell`` and ``GRUCell``, and subclasses of them.

    h = cell(x)          x [B, I] → h [B, H]; or one row, x [I] → h [H]
    h = cell(x, h)       LSTMCell has (h, c) in place of h

Equations and variants are the same as in the layers (``layers.py``): ``peephole``, ``coupled``, ``reset_after``,
``proj_size``, ``layer_norm`` and ``clip``, which PyTorch's cells do not have. Only layers have random masks, which are
drawn for a whole sequence. Arguments that do not fit raise ``UsageError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from seriatim.nn.constructors import NormOptions, constructor
from seriatim.nn.recurrent_cell import CallableCell, RecurrentCell
from seriatim.nn.torch_layers import TorchCell

if TYPE_CHECKING:
    from typing_extensions import Unpack

Device: TypeAlias = torch.device | str | None
Pair: TypeAlias = tuple[Tensor, Tensor]


class RNNCell(TorchCell, CallableCell[Tensor], nn.RNNCell):
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


class GRUCell(TorchCell, CallableCell[Tensor], nn.GRUCell):
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


class LSTMCell(TorchCell, CallableCell[Pair], nn.LSTMCell):
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
