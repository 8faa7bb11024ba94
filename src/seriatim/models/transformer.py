"""The Transformer (Vaswani 2017) as a body, for whole sequences, or for a stream with a memory of fixed span.

In a stream each step attends to itself and the ``span`` - 1 steps before it, in every layer, wherever the stream is
cut. The carry holds the keys and values of those steps (after Transformer-XL, Dai 2019), so one more step costs one
step. Positions rotate queries and keys (``nn.positions.rotate``): only distances matter, so a long stream has no
position that did not occur in training.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from seriatim.models.body import Body, last_steps
from seriatim.models.contract import Carry
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout
from seriatim.nn.affine import Affine
from seriatim.nn.positions import SinusoidalPositions
from seriatim.nn.transformer import EncoderLayer, causal_mask, padding_mask


@final
class Transformer(Body):
    """Layers of self-attention and feed-forward, with a norm before each part and after the last layer.

    The carry has the validity of the last P < span steps [P, B, 1], then the keys and values of them in each layer
    [P, B, hidden].
    """

    directions = 1

    def __init__(self, options: ModelOptions, input_size: int, *, causal: bool) -> None:
        super().__init__()
        self.causal, self.span = causal, options.span
        self.output_size = size = options.hidden
        self.input = nn.Identity() if input_size == size else Affine(input_size, size)
        rotary = causal or options.positions == "rotary"
        # Vaswani scales embeddings by √C before positions are added. The norm does this for inputs of any scale.
        self.positions = nn.Identity() if rotary else nn.Sequential(nn.LayerNorm(size), SinusoidalPositions())
        self.layers = nn.ModuleList(
            EncoderLayer(size, options.heads, dropout=options.dropout, rotary=rotary) for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(size)
        self.dropout = dropout(options)

    def forward(self, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        x = self.positions(self.input(inputs))
        if not self.causal:
            mask = None if lengths is None else padding_mask(lengths, len(x))
            for layer in self.layers:
                x, _ = layer(x, mask=mask)
            return self.dropout(self.norm(x)), ()
        parts = []
        for start in range(0, len(x), self.span):  # so that the scores of a long call are not [T, T]
            part = x[start : start + self.span]
            ends = None if lengths is None else (lengths - start).clamp(0, len(part))
            part, carry = self._run_segment(part, carry, ends)
            parts.append(part)
        return self.dropout(self.norm(torch.cat(parts))), tuple(
            part if part.dtype == torch.bool else part.to(inputs.dtype) for part in carry
        )

    def _run_segment(self, x: Tensor, carry: Carry, lengths: Tensor | None) -> tuple[Tensor, Carry]:
        """Run at most ``span`` steps from ``carry``."""
        steps, rows = x.shape[:2]
        valid = x.new_ones(steps, rows, 1, dtype=torch.bool)
        pasts: list[tuple[Tensor, Tensor] | None] = [None] * len(self.layers)
        if carry:
            valid = torch.cat([carry[0], valid])
            pasts = list(zip(carry[1::2], carry[2::2], strict=True))
        mask = causal_mask(steps, len(valid), self.span).to(x.device)
        if not valid.all():
            mask = mask & valid.permute(1, 2, 0)  # [B, steps, P + steps]
        count = min(len(valid), self.span - 1)
        ends = None if lengths is None else lengths + len(valid) - steps
        keys_values_carry = []
        for layer, past in zip(self.layers, pasts, strict=True):
            x, keys_values = layer(x, past=past, mask=mask)
            keys_values_carry += [last_steps(part, count, ends) for part in keys_values]
        return x, (last_steps(valid, count, ends), *keys_values_carry)

    def reset_rows(self, carry: Carry, keep: Tensor) -> Carry:
        return (carry[0] & keep.unsqueeze(-1), *carry[1:]) if carry else ()
