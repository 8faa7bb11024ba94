"""The convolution over a few steps before a cell whose gates do not see h (Feng 2024, after Gu & Dao 2023).

    y_t = b + Σ_{k<K} w_k ⊙ x_{t-k}                     each channel by itself (depthwise), w [K, C], b [C]

The gates of minGRU, minLSTM and LRU read x_t alone, so without it no gate can depend on two neighbouring steps. The
state is the last K - 1 inputs, oldest first.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from seriatim.nn import checks


@final
class ShortConvolution(nn.Module):
    """A causal depthwise convolution over ``steps`` K: x [T, B, C] → y [T, B, C]. It starts as the identity."""

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.width, self.steps = checks.size("width", width), checks.size("steps", steps)
        self.weight, self.bias = nn.Parameter(torch.empty(steps, width)), nn.Parameter(torch.empty(width))
        self.reset_parameters()

    @property
    def state_size(self) -> int:
        """The width of the state: K - 1 inputs."""
        return (self.steps - 1) * self.width

    def reset_parameters(self) -> None:
        """Become the identity."""
        with torch.no_grad():
            self.weight.zero_()
            self.weight[0] = 1.0
            self.bias.zero_()

    def forward(
        self, x: Tensor, past: Tensor, lengths: Tensor | None = None, reset: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Convolve x [T, B, C] after ``past`` [B, (K - 1)·C]; return y [T, B, C] and the state after each row's end.

        ``lengths`` [B] and ``reset`` [T, B] are as in ``SequenceLayer.run_layers``: at a reset the past is zero.
        """
        known, rows = self.steps - 1, x.shape[1]
        padded = torch.cat([past.reshape(rows, known, self.width).transpose(0, 1), x])
        # Two steps may see each other if the same number of resets precedes them.
        resets = None if reset is None else torch.cat([reset.new_zeros(known, rows), reset]).cumsum(0)
        y = self.bias.expand_as(x)
        for back, weight in enumerate(self.weight):
            seen = padded[known - back : known - back + len(x)]
            if resets is not None and back:
                seen = seen * (resets[known:] == resets[known - back : known - back + len(x)]).unsqueeze(-1)
            y = torch.addcmul(y, seen, weight)
        ends = torch.full((rows,), len(x)) if lengths is None else lengths
        places = (torch.arange(known)[:, None] + ends).to(x.device)  # of the last K - 1 inputs in ``padded``
        last = padded.gather(0, places.unsqueeze(-1).expand(-1, -1, self.width))
        if resets is not None:
            last = last * (resets.gather(0, places) == resets.gather(0, places[-1:])).unsqueeze(-1)
        return y, last.transpose(0, 1).reshape(rows, -1)
