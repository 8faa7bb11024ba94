"""A small network in float64 on streams of numbers, to test laws of learners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seriatim.learning.learner import Learner
from seriatim.models.contract import Carry, Segment, StreamModel

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Numbers(Segment):
    """Inputs and targets, [K, B, ·]."""

    inputs: Tensor
    targets: Tensor

    @property
    def units(self) -> int:
        return self.targets[self.overlap :, :, 0].numel()


class Network(StreamModel[Numbers]):
    """Affine, tanh → a recurrent layer → affine; the loss is the mean square error."""

    def __init__(
        self, layer: Any, inputs: int = 2, width: int = 3, *, before: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.Linear(inputs, width), nn.Tanh()) if before else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.layer = layer
        self.output = nn.LazyLinear(2)
        self.double()

    def states(self, batch: Numbers, carry: Carry) -> tuple[Tensor, Carry]:
        state = carry if len(carry) > 1 else carry[0] if carry else None
        states, next_state = self.layer(self.dropout(self.before(batch.inputs)), state)
        return states, next_state if isinstance(next_state, tuple) else (next_state,)

    def advance(self, batch: Numbers, carry: Carry) -> Carry:
        return self.states(batch, carry)[1]

    def loss(self, batch: Numbers, carry: Carry) -> tuple[Tensor, Carry]:
        states, next_state = self.states(batch, carry)
        return (self.output(states) - batch.targets)[batch.overlap :].square().mean(), next_state


@pytest.fixture
def network() -> Callable[..., Network]:
    """A function that makes a network around a layer, always the same for the same layer."""

    def make(layer: Any, **options: Any) -> Network:
        torch.manual_seed(7)
        model = Network(layer, **options)
        model.loss(numbers(2, 1), ())  # so that LazyLinear gets its shape
        return model

    return make


def numbers(steps: int, rows: int, *, seed: int = 0) -> Numbers:
    """A random batch."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(steps, rows, 2, generator=draw, dtype=torch.float64)
    return Numbers(inputs, torch.randn(steps, rows, 2, generator=draw, dtype=torch.float64))


@pytest.fixture
def stream() -> Callable[..., Numbers]:
    """A function that makes a random batch from (steps, rows)."""
    return numbers


@pytest.fixture
def gradients() -> Callable[..., Gradients]:
    """A function that returns the gradients of the mean loss over several batches, at fixed weights."""

    def collect(learner: Learner, model: Network, batches: list[Numbers], carry: Carry = ()) -> Gradients:
        total = sum(batch.steps for batch in batches)
        actual = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
        for batch in batches:
            model.zero_grad(set_to_none=True)
            _, carry = learner.step(model, batch, carry)
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    actual[name] += parameter.grad * batch.steps / total
        return actual

    return collect


@pytest.fixture
def equal() -> Callable[..., None]:
    """A function that checks that gradients are equal up to rounding, relative to the largest number in each."""

    def check(left: Gradients, right: Gradients, tolerance: float = 1e-10) -> None:
        assert left.keys() == right.keys()
        for name in left:
            scale = max(float(right[name].abs().max()), 1e-3)
            assert float((left[name] - right[name]).abs().max()) <= tolerance * scale, name

    return check
