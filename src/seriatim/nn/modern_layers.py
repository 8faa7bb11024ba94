"""Layers and cells of later papers: minGRU, minLSTM, LRU and sLSTM. ``layers.py`` lists the forms of a call.

The gates of the first three do not depend on h, so the gates of all steps are one product and the states are one scan.
Single steps give the same numbers up to rounding. These three therefore refuse ``recurrent_dropout``, ``weight_drop``
and ``proj_size``, which change products with h. LRU and sLSTM refuse ``zoneout``: their states have no meaning alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch
from torch import Tensor

from seriatim.nn.constructors import MaskOptions, NoOptions, constructor
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.recurrent_cell import CallableCell, RecurrentCell
from seriatim.nn.sequence import CallableLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

States: TypeAlias = tuple[Tensor, ...]


class ModernLayer(RecurrentLayer):
    """The constructor of the layers in this file. ``bias=None`` is the cell's own choice: only the LRU has no bias."""

    kind: ClassVar[str]
    has_bias: ClassVar[bool] = True

    @constructor(RecurrentLayer, MaskOptions)
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
        **options: Unpack[MaskOptions],
    ) -> None: ...


class MinGRU(ModernLayer, CallableLayer[Tensor]):
    """The GRU that a scan can train (Feng 2024).

    z = σ(x_t W_izᵀ + b_iz), n = g(x_t W_inᵀ + b_in);  h_t = (1 - z) ⊙ h_{t-1} + z ⊙ n

    g(a) is a + 1/2 for a ≥ 0 and σ(a) otherwise. z is the share of the new value, while a GRU's z is the share of the
    old one. x [T, B, I] → output [T, B, D·H] and h_n [L·D, B, H]. Raises ``UsageError`` for arguments that do not fit.

    >>> output, h_n = MinGRU(8, 16)(torch.randn(5, 3, 8))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    kind = "mingru"


class MinLSTM(ModernLayer, CallableLayer[Tensor]):
    """The LSTM that a scan can train (Feng 2024). There is no c.

    f, i = σ(·), n = g(·) of x_t, with the g of ``MinGRU``;  h_t = f/(f+i) ⊙ h_{t-1} + i/(f+i) ⊙ n

    x [T, B, I] → output [T, B, D·H] and h_n [L·D, B, H]. Raises ``UsageError`` for arguments that do not fit.

    >>> output, h_n = MinLSTM(8, 16)(torch.randn(5, 3, 8))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    kind = "minlstm"


class LRU(ModernLayer, CallableLayer[States]):
    """The linear recurrent unit (Orvieto 2023): s_t = λ ⊙ s_{t-1} + γ ⊙ B x_t, h_t = Re(C s_t) + D x_t.

    s is complex and carried as its real and its imaginary part: the state is (h, re, im), [L·D, B, H] each. λ is drawn
    evenly from inside the unit circle; ``recurrent.ring_`` draws it nearer to 1 for long memory. The paper has no
    biases. x [T, B, I] → output [T, B, D·H] and the state. Raises ``UsageError`` for arguments that do not fit.

    >>> output, (h_n, re, im) = LRU(8, 16)(torch.randn(5, 3, 8))
    >>> output.shape, re.shape
    (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    kind = "lru"
    has_bias = False


class SLSTM(ModernLayer, CallableLayer[States]):
    """The LSTM with an exponential input gate, normaliser n and stabiliser m (Beck 2024), with one head.

    c_t = f c_{t-1} + i tanh(·), n_t = f n_{t-1} + i, h_t = σ(·) c_t / n_t, with i = exp(·) and f = σ(·), both divided
    by e^m to stay in range

    With ``proj_size`` P, h_t is multiplied by W_hrᵀ [H, P]. x [T, B, I] → output [T, B, D·H] and (h_n, c_n, n_n, m_n),
    [L·D, B, H] each. Raises ``UsageError`` for arguments that do not fit.

    >>> output, (h_n, c_n, n_n, m_n) = SLSTM(8, 16)(torch.randn(5, 3, 8))
    >>> output.shape, m_n.shape
    (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    kind = "slstm"


class ModernCell(RecurrentCell):
    """The constructor of the cells in this file, with ``bias=None`` as in ``ModernLayer``."""

    kind: ClassVar[str]
    has_bias: ClassVar[bool] = True

    @constructor(RecurrentCell, NoOptions)
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
    ) -> None: ...


class MinGRUCell(ModernCell, CallableCell[Tensor]):
    """One step of ``MinGRU``: x [B, I], h [B, H] → h [B, H]. Raises ``UsageError`` for arguments that do not fit.

    >>> MinGRUCell(8, 16)(torch.randn(3, 8)).shape
    torch.Size([3, 16])
    """

    kind = "mingru"


class MinLSTMCell(ModernCell, CallableCell[Tensor]):
    """One step of ``MinLSTM``: x [B, I], h [B, H] → h [B, H]. Raises ``UsageError`` for arguments that do not fit.

    >>> MinLSTMCell(8, 16)(torch.randn(3, 8)).shape
    torch.Size([3, 16])
    """

    kind = "minlstm"


class LRUCell(ModernCell, CallableCell[States]):
    """One step of ``LRU``: x [B, I] and (h, re, im), [B, H] each → the next (h, re, im).

    Raises ``UsageError`` for arguments that do not fit.

    >>> h, re, im = LRUCell(8, 16)(torch.randn(3, 8))
    >>> h.shape, re.shape
    (torch.Size([3, 16]), torch.Size([3, 16]))
    """

    kind = "lru"
    has_bias = False


class SLSTMCell(ModernCell, CallableCell[States]):
    """One step of ``SLSTM``: x [B, I] and (h, c, n, m), [B, H] each → the next (h, c, n, m).

    Raises ``UsageError`` for arguments that do not fit.

    >>> h, c, n, m = SLSTMCell(8, 16)(torch.randn(3, 8))
    >>> h.shape, m.shape
    (torch.Size([3, 16]), torch.Size([3, 16]))
    """

    kind = "slstm"
