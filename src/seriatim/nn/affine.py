"""An affine map whose products are computed by the faster of PyTorch's two libraries."""

from __future__ import annotations

from torch import Tensor, nn

from seriatim.ops.products import linear

__all__ = ["Affine", "linear"]


class Affine(nn.Linear):
    """``torch.nn.Linear`` whose products are those of ``ops.products.linear``: x [..., I] → [..., O]."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the map of ``input``."""
        return linear(input, self.weight, self.bias)
