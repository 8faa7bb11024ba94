"""Position encodings for layers without recurrence: sinusoids added to the steps, or rotations of queries and keys.

Both use the angles of Vaswani 2017: pair i of C channels turns by 10000^(-2i/C) per step. Fast pairs distinguish near
steps, slow pairs far ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.nn import checks

BASE = 10_000.0


def angles(positions: Tensor, channels: int) -> Tensor:
    """Positions [T] → angles [T, channels / 2]."""
    pairs = torch.arange(0, channels, 2, device=positions.device, dtype=torch.float64)
    return positions.double()[:, None] * BASE ** (-pairs / channels)


def rotate(x: Tensor, positions: Tensor) -> Tensor:
    """Turn each pair of channels of x [T, …, C] by its angle at positions [T] (Su 2021).

    The product of a rotated query and a rotated key depends on their distance alone, so later positions than those of
    the training are not a new case. Channel i is paired with channel i + C/2.
    """
    turn = angles(positions, x.shape[-1]).view(-1, *[1] * (x.dim() - 2), x.shape[-1] // 2)
    cosine, sine = turn.cos().to(x.dtype), turn.sin().to(x.dtype)
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


class SinusoidalPositions(nn.Module):
    """Adds PE(p, 2i) = sin(p / 10000^(2i/C)) and PE(p, 2i+1) = cos(p / 10000^(2i/C)) (Vaswani 2017).

    Takes and returns time-major [T, B, C]; the first step has position ``start``. Raises ``UsageError`` for an odd C.
    """

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """[T, B, C] → [T, B, C]."""
        checks.dimensions("input", x, {3: "[T, B, C]"})
        if x.shape[-1] % 2:
            raise UsageError(f"input: got {x.shape[-1]} channels, wanted an even number, a sine and a cosine each")
        turn = angles(torch.arange(start, start + len(x), device=x.device), x.shape[-1])
        return x + torch.stack([turn.sin(), turn.cos()], -1).flatten(1)[:, None].to(x.dtype)
