"""The recurrent layers: drop-in for ``torch.nn.RNN``, ``LSTM`` and ``GRU``.

The call forms are the same for all:

    output, h_n = layer(x)                         x [T, B, I]  → output [T, B, D·H], h_n [L·D, B, H]
    output, h_n = layer(x, h_0)                    h_0 as h_n
    output, h_n = layer(x, lengths=[7, 3, 5])      rows in any order; each is at least 1 step long
    output, h_n = layer(packed)                    a PackedSequence in, a PackedSequence out
    output, h_n = layer(x, reset=starts)           starts [T, B], booleans: a new sequence starts at this step
    output, h_n = layer(x, reverse=True)           every row is read from its own end; output stands where x stood
    output, h_n, every = layer(x, return_states="all")

x may be [B, T, I] with ``batch_first``, or one sequence [T, I]. Beyond a row's length x is not read and output is 0;
h_n is the state after its last step. LSTM has (h_n, c_n) in place of h_n, and so has a projected GRU; P stands in place
of H for a projected h.

At a start that ``reset`` [T, B] marks ([B, T] with ``batch_first``, [T] for one sequence) the state is 0, not what the
steps before left; a direction that reads from the end forgets where it crosses the same boundary. ``every`` is a dict
of what happened inside, [L·D, T, B, ·] each with layers and directions in the order of h_n ([L·D, B, T, ·] with
``batch_first``, [L·D, T, ·] for one sequence, padded for a PackedSequence): "h", an LSTM's "c", "i", "f", "g" and "o",
a GRU's "r", "z" and "n"; 0 beyond a row's length. Gradients flow through h and c; gates are detached.

Beside PyTorch's arguments each takes, by keyword,

    layer_norm             the input part and the recurrent part of the gates are normalised, and an LSTM's c before
                           it is squashed (Ba 2016)
    clip                   every gate is kept within ± clip before its activation, as ONNX's nodes have it; not by the
                           native engine, but in plain PyTorch operations
    locked_dropout         between layers, one mask per sequence (Gal & Ghahramani 2016)
    recurrent_dropout      of h wherever it enters a product, one mask per sequence, layer and direction (the same)
    zoneout                the share of the units that keep their old value at a step; for LSTM it may be (of h, of c)
                           (Krueger 2016). Drawn in training, its mean afterwards
    weight_drop            of the weights between h and h, one mask per call, layer and direction (DropConnect as in
                           Merity 2018)

Arguments that do not fit raise ``UsageError``.
"""

from __future__ import annotations

from typing import Any, TypeAlias, overload

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from seriatim.nn.batch_layout import Either, Every, Flags, Lengths
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.zoneout import Zoneout
from seriatim.spec import CellSpec

Pair: TypeAlias = tuple[Tensor, Tensor]


class OneState(RecurrentLayer):
    """A layer whose cell carries h alone, but for a projected GRU."""

    @overload
    def forward(
        self, input: Tensor, hx: Tensor | None = None, *,
        lengths: Lengths | None = None, reset: Flags | None = None, reverse: bool = False, return_states: None = None,
    ) -> tuple[Tensor, Tensor]: ...  # fmt: skip
    @overload
    def forward(
        self, input: PackedSequence, hx: Tensor | None = None, *,
        lengths: None = None, reset: Flags | None = None, reverse: bool = False, return_states: None = None,
    ) -> tuple[PackedSequence, Tensor]: ...  # fmt: skip
    @overload
    def forward(
        self, input: Either, hx: Tensor | None = None, *,
        lengths: Lengths | None = None, reset: Flags | None = None, reverse: bool = False, return_states: str,
    ) -> tuple[Either, Tensor, Every]: ...  # fmt: skip
    def forward(
        self,
        input: Either,
        hx: Tensor | None = None,
        *,
        lengths: Lengths | None = None,
        reset: Flags | None = None,
        reverse: bool = False,
        return_states: str | None = None,
    ) -> tuple[Either, Tensor] | tuple[Either, Tensor, Every]:
        """Run over whole sequences."""
        output, final, every = self.run(input, hx, lengths, reset, reverse, return_states)
        h_n: Any = final if len(final) > 1 else final[0]  # a projected GRU has (h, c)
        return (output, h_n) if return_states is None else (output, h_n, every)


class RNN(OneState):
    """The simple recurrent network (Elman 1990): h_t = φ(x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh).

    ``nonlinearity``, φ, is tanh, relu or sigmoid. With ``proj_size`` P, h_t is that times W_hrᵀ [H, P].
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
        proj_size: int = 0,
        layer_norm: bool = False,
        clip: float = 0.0,
        locked_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        super().__init__(
            CellSpec(
                "rnn", input_size, hidden_size, activation=nonlinearity, bias=bias, proj_size=proj_size,
                layer_norm=layer_norm, clip=clip,
            ),
            num_layers=num_layers, batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            locked_dropout=locked_dropout, recurrent_dropout=recurrent_dropout, zoneout=zoneout,
            weight_drop=weight_drop, device=device, dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class GRU(OneState):
    """The gated recurrent unit (Cho 2014), with PyTorch's placement of the reset gate and meaning of z.

    r, z = σ(·);  n_t = tanh(x_t W_inᵀ + b_in + r_t ⊙ (h_{t-1} W_hnᵀ + b_hn));  h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t

    With ``reset_after=False`` r stands before the product, as in the paper: (r_t ⊙ h_{t-1}) W_hnᵀ + b_hn. With
    ``proj_size`` P (Cheng 2018) what z keeps a share of is c [H], and h_t = c_t W_hrᵀ [P]: a call takes and returns
    (h, c) in place of h, as an LSTM's does.
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
        proj_size: int = 0,
        reset_after: bool = True,
        layer_norm: bool = False,
        clip: float = 0.0,
        locked_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        super().__init__(
            CellSpec(
                "gru", input_size, hidden_size, bias=bias, proj_size=proj_size, reset_after=reset_after,
                layer_norm=layer_norm, clip=clip,
            ),
            num_layers=num_layers, batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            locked_dropout=locked_dropout, recurrent_dropout=recurrent_dropout, zoneout=zoneout,
            weight_drop=weight_drop, device=device, dtype=dtype,
        )  # fmt: skip


class LSTM(RecurrentLayer):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gate (Gers 2000).

    i, f, o = σ(·), g = tanh(·);  c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t;  h_t = o_t ⊙ tanh(c_t), times W_hrᵀ [H, P] with
    ``proj_size`` P (Sak 2014). With ``peephole`` the gates i and f see c_{t-1}, and o sees c_t, each unit its own.
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
        peephole: bool = False,
        layer_norm: bool = False,
        clip: float = 0.0,
        locked_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: Zoneout = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        super().__init__(
            CellSpec(
                "lstm", input_size, hidden_size, bias=bias, proj_size=proj_size, peephole=peephole,
                layer_norm=layer_norm, clip=clip,
            ),
            num_layers=num_layers, batch_first=batch_first, dropout=dropout, bidirectional=bidirectional,
            locked_dropout=locked_dropout, recurrent_dropout=recurrent_dropout, zoneout=zoneout,
            weight_drop=weight_drop, device=device, dtype=dtype,
        )  # fmt: skip

    @overload
    def forward(
        self, input: Tensor, hx: Pair | None = None, *,
        lengths: Lengths | None = None, reset: Flags | None = None, reverse: bool = False, return_states: None = None,
    ) -> tuple[Tensor, Pair]: ...  # fmt: skip
    @overload
    def forward(
        self, input: PackedSequence, hx: Pair | None = None, *,
        lengths: None = None, reset: Flags | None = None, reverse: bool = False, return_states: None = None,
    ) -> tuple[PackedSequence, Pair]: ...  # fmt: skip
    @overload
    def forward(
        self, input: Either, hx: Pair | None = None, *,
        lengths: Lengths | None = None, reset: Flags | None = None, reverse: bool = False, return_states: str,
    ) -> tuple[Either, Pair, Every]: ...  # fmt: skip
    def forward(
        self,
        input: Either,
        hx: Pair | None = None,
        *,
        lengths: Lengths | None = None,
        reset: Flags | None = None,
        reverse: bool = False,
        return_states: str | None = None,
    ) -> tuple[Either, Pair] | tuple[Either, Pair, Every]:
        """Run over whole sequences."""
        output, (h_n, c_n), every = self.run(input, hx, lengths, reset, reverse, return_states)
        return (output, (h_n, c_n)) if return_states is None else (output, (h_n, c_n), every)
