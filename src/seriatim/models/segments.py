"""Segments of a window as the inputs of a recurrent network, and of the horizon as its outputs (SegRNN, Lin 2023)."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.body import Body


@final
class Segments(nn.Module):
    """S steps make one input, and the horizon is decoded in parallel, one segment of S steps each.

    So a recurrent network takes ⌈T/S⌉ steps over a window of T, and one more for the whole horizon of H steps: from
    the last state, each of the N = ⌈H/S⌉ segments reads an embedding of its position instead of values.

        x_k = A [v_{kS}, …, v_{kS+S-1}] + b        zeros before the window fill the first segment
        y_n = step(p_n, last state)                 n = 1 … N

    >>> segments = Segments(width=2, segment=3, horizon=4, size=8)
    >>> segments.inputs(torch.zeros(7, 5, 2)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, *, width: int, segment: int, horizon: int, size: int) -> None:
        """``width``: channels of a step; ``size``: the width of an input of the body."""
        super().__init__()
        self.segment, self.size = segment, size
        self.affine = nn.Linear(segment * width, size)
        self.positions = nn.Parameter(torch.randn(-(-horizon // segment), size))

    def inputs(self, window: Tensor) -> Tensor:
        """Map a scaled window ``[T, B, width]`` to inputs of the body, ``[⌈T/S⌉, B, size]``."""
        missing = -len(window) % self.segment
        padded = functional.pad(window, (0, 0, 0, 0, missing, 0))
        joined = padded.reshape(-1, self.segment, *window.shape[1:]).transpose(1, 2).flatten(2)
        inputs: Tensor = self.affine(joined)
        return inputs

    def forward(self, body: Body, window: Tensor) -> Tensor:
        """Return the output of ``body`` for each segment of the horizon, ``[B, N, output_size]``."""
        _, carry = body(self.inputs(window))
        count, rows = len(self.positions), window.shape[1]
        repeated = tuple(part.repeat(1, count, 1) for part in carry)
        positions = self.positions.repeat_interleave(rows, 0)[None]
        states, _ = body(positions, repeated)
        outputs: Tensor = states[0].reshape(count, rows, -1).transpose(0, 1)
        return outputs
