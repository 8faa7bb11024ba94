"""The recurrent layers: drop-in for ``torch.nn.RNN``, ``LSTM`` and ``GRU``, and subclasses of them.

All layers have the same call forms:

    output, h_n = layer(x)                         x [T, B, I]  → output [T, B, D·H], h_n [L·D, B, H]
    output, h_n = layer(x, h_0)                    h_0 has the shape of h_n
    output, h_n = layer(x, lengths=[7, 3, 5])      rows in any order; each is at least 1 step long
    output, h_n = layer(packed)                    a PackedSequence in, a PackedSequence out
    output, h_n = layer(x, reset=marks)            marks [T, B], booleans: a new sequence starts at this step
    output, h_n = layer(x, reverse=True)           reads each row from its end; output stays in the order of x
    output, h_n, states = layer(x, return_states="all")

x may be [B, T, I] with ``batch_first``, or one sequence [T, I]. Beyond a row's length x is not read and output is 0;
h_n is the state after the row's last step. An LSTM has (h_n, c_n) in place of h_n, and so has a projected GRU. A
projected h has width P in place of H.

``reset`` [T, B] ([B, T] with ``batch_first``, [T] for one sequence) sets the state to 0 before the marked steps. A
direction that reads from the end resets where it crosses the same boundary. ``states`` is a dict of the values at each
step, each [L·D, T, B, ·] with layers and directions in the order of h_n ([L·D, B, T, ·] with ``batch_first``,
[L·D, T, ·] for one sequence, padded for a PackedSequence): "h", an LSTM's "c", "i", "f", "g" and "o", a GRU's "r", "z"
and "n"; 0 beyond a row's length. Gradients flow through h and c; gates are detached.

``constructors.py`` lists the keyword arguments that layers have in addition to PyTorch's. Arguments that do not fit
raise ``UsageError``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from seriatim.nn.constructors import LayerOptions, constructor
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.sequence import CallableLayer
from seriatim.nn.torch_layers import TorchLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

Pair: TypeAlias = tuple[Tensor, Tensor]
Device: TypeAlias = torch.device | str | None


class RNN(TorchLayer, CallableLayer[Tensor], nn.RNN):
    """The simple recurrent network (Elman 1990): h_t = φ(x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh).

    φ is the ``nonlinearity``: tanh, relu or sigmoid. With ``proj_size`` P, h_t is multiplied by W_hrᵀ [H, P].
    x [T, B, I] → output [T, B, D·H] and h_n [L·D, B, H]; ``seriatim.nn.layers`` lists the other forms of a call. Raises
    ``UsageError`` for arguments that do not fit.

    >>> layer = RNN(8, 16, nonlinearity="relu")
    >>> output, h_n = layer(torch.randn(5, 3, 8))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    kind = "rnn"

    @constructor(RecurrentLayer, LayerOptions)
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
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        **options: Unpack[LayerOptions],
    ) -> None:
        self.nonlinearity = nonlinearity


class GRU(TorchLayer, CallableLayer[Tensor], nn.GRU):
    """The gated recurrent unit (Cho 2014), with PyTorch's placement of the reset gate and meaning of z.

    r, z = σ(·);  n_t = tanh(x_t W_inᵀ + b_in + r_t ⊙ (h_{t-1} W_hnᵀ + b_hn));  h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t

    With ``reset_after=False`` r is applied before the product, as in the paper: (r_t ⊙ h_{t-1}) W_hnᵀ + b_hn. With
    ``proj_size`` P (Cheng 2018) the last equation computes c_t [H] from c_{t-1}, and h_t = c_t W_hrᵀ [P]: a call takes
    and returns (h, c) in place of h, as an LSTM's does. x [T, B, I] → output [T, B, D·H] and h_n [L·D, B, H];
    ``seriatim.nn.layers`` lists the other forms of a call. Raises ``UsageError`` for arguments that do not fit.

    >>> layer = GRU(8, 16, batch_first=True)
    >>> output, h_n = layer(torch.randn(3, 5, 8), lengths=[5, 2, 4])
    >>> output.shape, h_n.shape
    (torch.Size([3, 5, 16]), torch.Size([1, 3, 16]))
    """

    kind = "gru"

    @constructor(RecurrentLayer, LayerOptions)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        reset_after: bool = True,
        **options: Unpack[LayerOptions],
    ) -> None: ...


class LSTM(TorchLayer, CallableLayer[Pair], nn.LSTM):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gate (Gers 2000).

    i, f, o = σ(·), g = tanh(·);  c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t;  h_t = o_t ⊙ tanh(c_t)

    With ``coupled`` i_t = 1 - f_t (CIFG; Greff 2017), and the weights have three blocks, f g o. With ``proj_size`` P
    (Sak 2014) h_t is multiplied by W_hrᵀ [H, P]. With ``peephole`` (Gers 2000) the gates i and f see c_{t-1}, and o
    sees c_t, each unit its own. x [T, B, I] → output [T, B, D·H] and (h_n, c_n), [L·D, B, H] each;
    ``seriatim.nn.layers`` lists the other forms of a call. Raises ``UsageError`` for arguments that do not fit.

    >>> layer = LSTM(8, 16, num_layers=2, bidirectional=True)
    >>> output, (h_n, c_n) = layer(torch.randn(5, 3, 8))
    >>> output.shape, h_n.shape, c_n.shape
    (torch.Size([5, 3, 32]), torch.Size([4, 3, 16]), torch.Size([4, 3, 16]))
    """

    kind = "lstm"

    @constructor(RecurrentLayer, LayerOptions)
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
        device: Device = None,
        dtype: torch.dtype | None = None,
        *,
        peephole: bool = False,
        coupled: bool = False,
        **options: Unpack[LayerOptions],
    ) -> None:
        self.coupled = coupled
