"""The recurrent layers: drop-in for ``torch.nn.RNN``, ``LSTM`` and ``GRU``.

Beside PyTorch's arguments each takes ``locked_dropout``, between layers with one mask per sequence (Gal & Ghahramani
2016), and each call takes ``lengths``. The call forms are the same for all:

    output, h_n = layer(x)                         x [T, B, I]  → output [T, B, D·H], h_n [L·D, B, H]
    output, h_n = layer(x, h_0)                    h_0 as h_n
    output, h_n = layer(x, lengths=[7, 3, 5])      rows in any order; each is at least 1 step long
    output, h_n = layer(packed)                    a PackedSequence in, a PackedSequence out

x may be [B, T, I] with ``batch_first``, or one sequence [T, I]. Beyond a row's length x is not read and output is 0;
h_n is the state after its last step. LSTM has (h_n, c_n) in place of h_n, and P in place of H for a projected h.
Arguments that do not fit raise ``UsageError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from seriatim.nn.recurrent import Recurrent
from seriatim.spec import CellSpec

Lengths: TypeAlias = Tensor | Sequence[int]


class RNN(Recurrent):
    """The simple recurrent network (Elman 1990): h_t = φ(x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh).

    ``nonlinearity``, φ, is tanh, relu or sigmoid.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        locked_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            CellSpec("rnn", input_size, hidden_size, activation=nonlinearity, bias=bias),
            num_layers=num_layers, batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            locked_dropout=locked_dropout, device=device, dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    @overload
    def forward(
        self, input: Tensor, hx: Tensor | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def forward(self, input: PackedSequence, hx: Tensor | None = None) -> tuple[PackedSequence, Tensor]: ...
    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run over whole sequences."""
        output, (h_n,) = self.scan(input, hx, lengths)
        return output, h_n


class GRU(Recurrent):
    """The gated recurrent unit (Cho 2014), with PyTorch's placement of the reset gate and meaning of z.

    r, z = σ(·);  n_t = tanh(x_t W_inᵀ + b_in + r_t ⊙ (h_{t-1} W_hnᵀ + b_hn));  h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        locked_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            CellSpec("gru", input_size, hidden_size, bias=bias),
            num_layers=num_layers, batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            locked_dropout=locked_dropout, device=device, dtype=dtype,
        )  # fmt: skip

    @overload
    def forward(
        self, input: Tensor, hx: Tensor | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def forward(self, input: PackedSequence, hx: Tensor | None = None) -> tuple[PackedSequence, Tensor]: ...
    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run over whole sequences."""
        output, (h_n,) = self.scan(input, hx, lengths)
        return output, h_n


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gate (Gers 2000).

    i, f, o = σ(·), g = tanh(·);  c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t;  h_t = o_t ⊙ tanh(c_t), times W_hrᵀ [H, P] with
    ``proj_size`` P (Sak 2014).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        locked_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            CellSpec("lstm", input_size, hidden_size, bias=bias, proj_size=proj_size),
            num_layers=num_layers, batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            locked_dropout=locked_dropout, device=device, dtype=dtype,
        )  # fmt: skip

    @overload
    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...
    @overload
    def forward(
        self, input: PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[PackedSequence, tuple[Tensor, Tensor]]: ...
    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Run over whole sequences."""
        output, (h_n, c_n) = self.scan(input, hx, lengths)
        return output, (h_n, c_n)


LAYERS: dict[str, type[RNN] | type[LSTM] | type[GRU]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
"""By the name of their cell."""
