"""The network of an online estimator. It can get more inputs and outputs while it learns.

x [K, B, F] → affine → recurrent layers → affine → [K, B, O]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry, Segment, StreamModel
from seriatim.models.options import ModelOptions


@dataclass(frozen=True)
class TargetSteps(Segment):
    """K steps of a stream, each with its target."""

    inputs: Tensor
    """[K, B, F] float32."""
    targets: Tensor
    """[K, B]: int64 classes, or float32 numbers."""

    @property
    def units(self) -> int:
        return self.targets[self.overlap :].numel()


@final
class Reader(nn.Module):
    """An affine map whose weight [F, H] has a row for each input, so that a new input is a new last row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))
        self.weight = nn.Parameter(torch.zeros(0, width))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight + self.bias


@final
class Head(nn.Module):
    """An affine map [O, H] that starts as zeros. A new output is a new last row."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, width))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, states: Tensor) -> Tensor:
        return functional.linear(states, self.weight, self.bias)


@final
class OnlineNetwork(StreamModel[TargetSteps]):
    """A recurrent network that predicts classes (cross entropy) or a number (squared error)."""

    def __init__(self, options: ModelOptions, outputs: int, *, classes: bool) -> None:
        super().__init__()
        self.classes = classes
        self.body = build_body(options, options.hidden, causal=True)
        self.reader = Reader(options.hidden)  # after the body, so that its weights come last: see ``growth.py``
        self.head = Head(self.body.output_size, outputs)

    def forward(self, inputs: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the outputs [K, B, O] and the state after the steps."""
        states, carry = self.body(self.reader(inputs), carry)
        return self.head(states), carry

    def advance(self, batch: TargetSteps, carry: Carry) -> Carry:
        final: Carry = self.body(self.reader(batch.inputs), carry)[1]
        return final

    def loss(self, batch: TargetSteps, carry: Carry) -> tuple[Tensor, Carry]:
        states, carry = self.body(self.reader(batch.inputs), carry)
        outputs, targets = self.head(states[batch.overlap :]), batch.targets[batch.overlap :]
        if self.classes:
            return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten()), carry
        return 0.5 * functional.mse_loss(outputs.squeeze(-1), targets), carry
