"""Dropout with one mask per sequence."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import dropout

from seriatim.nn import checks


def locked(x: Tensor, p: float, training: bool) -> Tensor:
    """Variational dropout (Gal & Ghahramani 2016) on time-major x [T, B, C]: one mask [1, B, C] for all steps."""
    if not training or p == 0:
        return x
    return x * dropout(x.new_ones(1, *x.shape[1:]), p)


def factors(h: Tensor, p: float, training: bool) -> Tensor | None:
    """Recurrent dropout (Gal & Ghahramani 2016): what h [B, ·] is multiplied with wherever it enters a product.

    0 with probability p, 1 / (1 - p) otherwise, one draw for all steps; None where nothing is dropped.
    """
    if not training or p == 0:
        return None
    return dropout(h.new_ones(h.shape), p)


class LockedDropout(nn.Module):
    """Variational dropout (Gal & Ghahramani 2016): what is dropped at one step of a sequence is dropped at all.

    Takes and returns time-major [T, B, C]. Raises ``UsageError`` if ``p`` is not from 0 to 1, or for another shape.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = checks.probability("p", p)

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, C] → [T, B, C]."""
        checks.dimensions("input", x, {3: "[T, B, C]"})
        return locked(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"
