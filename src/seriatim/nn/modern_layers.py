"""Layers and cells beyond the classics: minGRU, minLSTM, LRU and sLSTM. Call forms are those of ``layers.py``.

The gates of the first three do not see h: the products of all steps are one, and what is left is a scan, one pass over
memory. A step at a time gives the same numbers to rounding. ``recurrent_dropout``, ``weight_drop`` and ``proj_size``
are not theirs, for the same reason, and ``zoneout`` is not for a cell of several states, which mean nothing one by one.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from seriatim.nn.batch_layout import Either, Every, Flags, Lengths
from seriatim.nn.cells import RecurrentCell
from seriatim.nn.layers import OneState
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.spec import CellSpec


class Kind:
    """Which cell a class is of."""

    kind: ClassVar[str]
    biased: ClassVar[bool] = True
    """Whether it has biases unless ``bias`` says otherwise."""


class Layer(RecurrentLayer, Kind):
    """The arguments of every layer here. A ``bias`` of None is the cell's own: only the LRU has none."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool | None = None,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
        locked_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        weight_drop: float = 0.0,
    ) -> None:
        bias = self.biased if bias is None else bias
        super().__init__(
            CellSpec(self.kind, input_size, hidden_size, bias=bias, proj_size=proj_size), num_layers=num_layers,
            batch_first=batch_first, dropout=dropout, bidirectional=bidirectional, locked_dropout=locked_dropout,
            recurrent_dropout=recurrent_dropout, zoneout=zoneout, weight_drop=weight_drop, device=device, dtype=dtype,
        )  # fmt: skip


class ManyStates(Layer):
    """A layer whose cell carries several states: (h_n, …) in the order of ``spec.states``."""

    def forward(
        self,
        input: Either,
        hx: tuple[Tensor, ...] | None = None,
        *,
        lengths: Lengths | None = None,
        reset: Flags | None = None,
        reverse: bool = False,
        return_states: str | None = None,
    ) -> tuple[Either, tuple[Tensor, ...]] | tuple[Either, tuple[Tensor, ...], Every]:
        """Run over whole sequences."""
        output, final, every = self.run(input, hx, lengths, reset, reverse, return_states)
        return (output, final) if return_states is None else (output, final, every)


class MinGRU(Layer, OneState):
    """The GRU that a scan can train (Feng 2024): z = σ(x_t W_izᵀ + b_iz), n = g(x_t W_inᵀ + b_in);

    h_t = (1 - z) ⊙ h_{t-1} + z ⊙ n,  g(a) = a + 1/2 for a ≥ 0, σ(a) otherwise. z is "how much new", unlike GRU's.
    """

    kind = "mingru"


class MinLSTM(Layer, OneState):
    """The LSTM that a scan can train (Feng 2024): f, i = σ(·), g = g(·);

    h_t = f/(f+i) ⊙ h_{t-1} + i/(f+i) ⊙ g. There is no c.
    """

    kind = "minlstm"


class LRU(ManyStates):
    """The linear recurrent unit (Orvieto 2023): s_t = λ ⊙ s_{t-1} + γ ⊙ B x_t, h_t = Re(C s_t) + D x_t.

    s is complex, carried as its real and its imaginary part: the state is (h, re, im). λ starts evenly in the unit
    circle; ``recurrent.ring_`` narrows it for long memory. The paper has no biases.
    """

    kind = "lru"
    biased = False


class SLSTM(ManyStates):
    """The LSTM with an exponential input gate, normaliser and stabiliser (Beck 2024): the state is (h, c, n, m).

    c_t = f c_{t-1} + i tanh(·), n_t = f n_{t-1} + i, h_t = σ(·) c_t / n_t, with i = exp(·) and f = σ(·), both divided
    by e^m to stay in range; h_t is that times W_hrᵀ [H, P] with ``proj_size`` P. Its recurrent weights are full
    matrices: one head.
    """

    kind = "slstm"


class KindCell(RecurrentCell, Kind):
    """The arguments of every cell here, as ``Layer`` has them."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
    ) -> None:
        bias = self.biased if bias is None else bias
        super().__init__(CellSpec(self.kind, input_size, hidden_size, bias=bias, proj_size=proj_size), device, dtype)


class OneStateCell(KindCell):
    """A cell that carries h alone."""

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """x [B, I], h [B, H] → h [B, H]."""
        (h,) = self.advance(input, hx)
        return h


class ManyStatesCell(KindCell):
    """A cell that carries several states."""

    def forward(self, input: Tensor, hx: tuple[Tensor, ...] | None = None) -> tuple[Tensor, ...]:
        """x [B, I], (h, …), [B, H] each → (h, …)."""
        return self.advance(input, hx)


class MinGRUCell(OneStateCell):
    """One step of ``MinGRU``."""

    kind = "mingru"


class MinLSTMCell(OneStateCell):
    """One step of ``MinLSTM``."""

    kind = "minlstm"


class LRUCell(ManyStatesCell):
    """One step of ``LRU``."""

    kind = "lru"
    biased = False


class SLSTMCell(ManyStatesCell):
    """One step of ``SLSTM``."""

    kind = "slstm"
