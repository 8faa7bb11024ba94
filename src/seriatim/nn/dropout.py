"""Dropout with one mask per sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from seriatim.nn import checks


def locked(x: Tensor, p: float, training: bool) -> Tensor:
    """Variational dropout (Gal & Ghahramani 2016) on time-major x [T, B, C]: one mask [1, B, C] for all steps."""
    if not training or p == 0:
        return x
    return x * dropout(x.new_ones(1, *x.shape[1:]), p)


def dropout_in_rows(x: Tensor, p: float, lengths: Tensor | None) -> Tensor:
    """Dropout of padded rows x [T, B, C] with falling ``lengths``. It draws the numbers that the packed rows would."""
    if lengths is None:
        return dropout(x, p)
    exists = (torch.arange(x.shape[0])[:, None] < lengths).to(x.device)
    factors = dropout(x.new_ones(int(lengths.sum()), x.shape[2]), p)
    return x * x.new_zeros(x.shape).masked_scatter(exists[:, :, None], factors)


def recurrent_mask(h: Tensor, p: float, training: bool) -> Tensor | None:
    """The mask of recurrent dropout (Gal & Ghahramani 2016): h [B, ·] is multiplied by it wherever it enters a product.

    Its elements are 0 with probability p and 1 / (1 - p) otherwise, the same for all steps. None if nothing is dropped.
    """
    if not training or p == 0:
        return None
    return dropout(h.new_ones(h.shape), p)


class LockedDropout(nn.Module):
    """Variational dropout (Gal & Ghahramani 2016): each channel of a sequence is dropped at all steps or at none.

    ``p`` is the probability of a drop. Takes and returns time-major x [T, B, C]. Raises ``UsageError`` if ``p`` is not
    from 0 to 1, and for another number of dimensions.

    >>> import torch
    >>> LockedDropout(0.5)(torch.randn(5, 3, 8)).shape
    torch.Size([5, 3, 8])
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
