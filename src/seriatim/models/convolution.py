"""The temporal convolutional network (Bai 2018): filters over a window that grows with depth, without a state."""

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
    """Residual blocks of two convolutions. The dilation doubles from block to block.

    An output sees 1 + 2·(kernel - 1)·(2^layers - 1) steps. If causal, these are its own step and earlier ones, else
    they are centred on it. The carry holds the last inputs of each convolution [reach, B, ·], oldest first.
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
        is_valid = None
        if lengths is not None:
            is_valid = (torch.arange(len(inputs), device=inputs.device)[:, None] < lengths)[:, :, None]
        x = inputs
        next_carry: list[Tensor] = []
        for depth, block in enumerate(self.blocks):
            assert isinstance(block, ResidualBlock)
            pasts = carry[2 * depth : 2 * depth + 2]
            x, inputs_read = block(x, pasts or None, is_valid)
            if self.causal:
                whole = [torch.cat(parts) for parts in zip(pasts, inputs_read, strict=True)] if pasts else inputs_read
                ends = None if lengths is None else lengths + len(whole[0]) - len(inputs)
                next_carry += [last_steps(part, block.first.reach, ends) for part in whole]
        return self.dropout(x), tuple(part.to(inputs.dtype) for part in next_carry)

    def reset_rows(self, carry: Carry, keep: Tensor) -> Carry:
        return tuple(part * keep.unsqueeze(-1) for part in carry)
