"""The plain feed-forward network: each step by itself. It is one to one if a sequence is one step."""

from __future__ import annotations

from itertools import pairwise
from typing import final

from torch import Tensor, nn

from seriatim.models.body import Body
from seriatim.models.contract import Carry
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout


@final
class FeedForward(Body):
    """Layers of affine → ReLU → dropout, the same at each step. It has no carry."""

    directions = 1

    def __init__(self, options: ModelOptions, input_size: int) -> None:
        super().__init__()
        self.output_size = options.hidden
        widths = [input_size, *[options.hidden] * options.layers]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(size, next_size), nn.ReLU(), dropout(options))
                for size, next_size in pairwise(widths)
            )
        )

    def forward(self, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        return self.layers(inputs), ()

    def reset_rows(self, carry: Carry, keep: Tensor) -> Carry:
        return ()
