"""Recurrent layers in residual blocks with normalisation and a feed-forward part, as in a Transformer.

    x ← A x                                      a linear map to the width of the blocks, if the widths differ    (1)
    x ← x + layer(conv(norm(x)))                 the recurrent layer mixes steps, after a short convolution if any (2)
    x ← x + W₂ gelu(W₁ norm(x) + b₁) + b₂        the feed-forward part mixes the units of one step                (3)
    y = norm(x)                                  after the last block                                             (4)

minGRU and minLSTM (Feng 2024) and the LRU (Orvieto 2023) are published in such blocks: their recurrence is linear, so
the work between units is done by (3). The norms come before the parts (Xiong 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.nn.affine import Affine
from seriatim.nn.dropout import locked
from seriatim.nn.sequence import AnyLayer, SequenceLayer
from seriatim.nn.short_convolution import ShortConvolution
from seriatim.nn.stacking import check_stackable
from seriatim.ops.recurrence import State


@final
class FeedForwardPart(nn.Module):
    """The feed-forward part (3) with its norm: [T, B, C] → [T, B, C]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear1, self.linear2 = Affine(width, hidden), Affine(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum to add to x [T, B, C]."""
        part: Tensor = self.linear2(functional.gelu(self.linear1(self.norm(x))))
        return part

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        for module in (self.norm, self.linear1, self.linear2):
            module.reset_parameters()


@final
class Blocks(AnyLayer):
    """Residual blocks around recurrent layers of any cells.

    x [T, B, I] → output [T, B, D·H] and the states of all layers one after another, h_n [L·D, B, H];
    ``seriatim.nn.layers`` lists the other forms of a call. Each of ``layers`` is time-major, has ``num_layers=1`` and
    as many inputs as outputs, and all have the same directions and states. ``input_size`` I may differ from their
    width. The feed-forward part has ``expansion`` times the width. ``dropout`` and ``locked_dropout`` apply to the
    output of each part. ``convolution`` K > 1 puts a ``ShortConvolution`` over K steps before each layer; its last
    inputs are one more state, ``x`` [L·D, B, (K - 1)·C], zero in the rows of a second direction, and ``reverse`` is
    refused. Sources: Feng 2024, Orvieto 2023. Raises ``UsageError`` for layers that do not fit.

    >>> from seriatim.nn import MinGRU
    >>> blocks = Blocks([MinGRU(16, 16), MinGRU(16, 16)], 8)
    >>> output, h_n = blocks(torch.randn(5, 3, 8))
    >>> output.shape, h_n.shape
    (torch.Size([5, 3, 16]), torch.Size([2, 3, 16]))
    """

    def __init__(
        self,
        layers: Sequence[SequenceLayer],
        input_size: int | None = None,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        locked_dropout: float = 0.0,
        expansion: int = 4,
        convolution: int = 1,
    ) -> None:
        super().__init__()
        check_stackable(layers, from_number=0)
        first = layers[0]
        width = first.output_size
        self.input_size = width if input_size is None else checks.size("input_size", input_size)
        self.output_size = width
        self.batch_first = checks.flag("batch_first", batch_first)
        self.dropout = checks.probability("dropout", dropout)
        self.locked_dropout = checks.probability("locked_dropout", locked_dropout)
        self.num_layers, self.bidirectional = len(layers), first.bidirectional
        expansion = checks.size("expansion", expansion)
        weight = next(first.parameters())
        self.input = nn.Identity() if self.input_size == width else Affine(self.input_size, width)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in layers)
        self.parts = nn.ModuleList(FeedForwardPart(width, expansion * width) for _ in layers)
        self.norm = nn.LayerNorm(width)
        steps = checks.size("convolution", convolution)
        self.convolutions = nn.ModuleList(ShortConvolution(width, steps) for _ in layers if steps > 1)
        for module in (self.input, self.norms, self.parts, self.norm, self.convolutions):
            module.to(weight.device, weight.dtype)

    @property
    def state_sizes(self) -> dict[str, int]:
        first = self.layers[0]
        assert isinstance(first, SequenceLayer)
        sizes = dict(first.state_sizes)
        if self.convolutions:
            convolution = self.convolutions[0]
            assert isinstance(convolution, ShortConvolution)
            sizes["x"] = convolution.state_size
        return sizes

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in (self.input, *self.layers, *self.norms, *self.parts, self.norm, *self.convolutions):
            if not isinstance(module, nn.Identity):
                module.reset_parameters()

    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, reset: Tensor | None, reverse: bool, all_states: bool
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        if reverse and self.convolutions:
            raise UsageError("reverse: not with a convolution, which reads the steps before each step")
        padding = None
        if lengths is not None:  # padding may hold anything, even NaN
            padding = (torch.arange(len(x))[:, None] >= lengths).to(x.device).unsqueeze(-1)
            x = x.masked_fill(padding, 0.0)
        x = self.input(x)  # (1)
        directions = 2 if self.bidirectional else 1
        finals, states = [], []
        for number, (layer, norm, part) in enumerate(zip(self.layers, self.norms, self.parts, strict=True)):
            assert isinstance(layer, SequenceLayer)
            first = tuple(values[number * directions : (number + 1) * directions] for values in state)
            read = norm(x)
            past: tuple[Tensor, ...] = ()
            if self.convolutions:
                read, after = self.convolutions[number](read, first[-1][0], lengths, reset)
                past = (torch.stack([after, *[torch.zeros_like(after)] * (directions - 1)]),)
                first = first[:-1]
            hx = first if len(first) > 1 else first[0]
            output, final, layer_states = layer.run(read, hx, lengths, reset, reverse, "all" if all_states else None)
            assert isinstance(output, Tensor)
            final = (*final, *past)
            x = x + self._with_dropout(output)  # (2)
            x = x + self._with_dropout(part(x))  # (3)
            finals.append(final)
            states.append(layer_states)
        x = self.norm(x)  # (4)
        if padding is not None:
            x = x.masked_fill(padding, 0.0)
        last = tuple(torch.cat(values) for values in zip(*finals, strict=True))
        shared_names = [name for name in states[0] if all(name in values for values in states)]
        return x, last, {name: torch.cat([values[name] for values in states]) for name in shared_names}

    def _with_dropout(self, x: Tensor) -> Tensor:
        x = functional.dropout(x, self.dropout, self.training) if self.dropout else x
        return locked(x, self.locked_dropout, self.training)
