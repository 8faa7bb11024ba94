"""A user-written cell, for tests of layers and of tasks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seriatim.nn import Cell


class Leaky(Cell):
    """An RNN in which each unit keeps a learned share of its old value."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.keep = nn.Parameter(torch.empty(hidden_size))
        self.take = nn.Linear(input_size, hidden_size)
        self.mix = nn.Linear(hidden_size, hidden_size)
        self.reset_parameters()

    def read(self, x: Tensor) -> Tensor:
        return self.take(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (h,) = state
        return (torch.lerp(torch.tanh(x + self.mix(h)), h, torch.sigmoid(self.keep)),)
