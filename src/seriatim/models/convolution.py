"""The temporal convolutional network (Bai 2018): local filters over a window that grows with depth, and no state."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from seriatim.models.body import Body, last_steps
from seriatim.models.contract import Carry
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout
from seriatim.nn.convolution import ResidualBlock


@final
class TemporalConvolution(Body):
    """Residual blocks of two convolutions, the steps between taps doubling from block to block.

    An output sees 1 + 2·(kernel - 1)·(2^layers - 1) steps: causal, itself and those before it, else as many on either
    side. The carry holds the last inputs of each convolution [reach, B, ·], oldest first.
    """

    directions = 1

    def __init__(self, options: ModelOptions, input_size: int, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.output_size = options.hidden
        self.blocks = nn.ModuleList(
            ResidualBlock(
                options.hidden if depth else input_size,
                options.hidden,
                options.kernel,
                dilation=2**depth,
                causal=causal,
                dropout=options.dropout,
            )
            for depth in range(options.layers)
        )
        self.dropout = dropout(options)

    def forward(self, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        inside = None
        if lengths is not None:
            inside = (torch.arange(len(inputs), device=inputs.device)[:, None] < lengths)[:, :, None]
        x = inputs
        kept: list[Tensor] = []
        for depth, block in enumerate(self.blocks):
            assert isinstance(block, ResidualBlock)
            pasts = carry[2 * depth : 2 * depth + 2]
            x, read = block(x, pasts or None, inside)
            if self.causal:
                whole = [torch.cat(parts) for parts in zip(pasts, read, strict=True)] if pasts else read
                ends = None if lengths is None else lengths + len(whole[0]) - len(inputs)
                kept += [last_steps(part, block.first.reach, ends) for part in whole]
        return self.dropout(x), tuple(part.to(inputs.dtype) for part in kept)

    def forget(self, carry: Carry, kept: Tensor) -> Carry:
        return tuple(part * kept.unsqueeze(-1) for part in carry)
