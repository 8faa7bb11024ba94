"""What the learners forward in time share: the walk over the steps of a batch, row by row.

What a rule remembers of a row stands behind the model's state in the carry, rows first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.learning.learner import Learner, streaming
from seriatim.learning.onestep import Data, OneStep, steps_of
from seriatim.models.contract import Carry, StreamModel, Trainable, plain_steps

Memory: TypeAlias = tuple[Tensor, ...]


class Rule(ABC):
    """How one row goes one step, for one model."""

    @abstractmethod
    def start(self, rows: int) -> Memory:
        """What is remembered where streams begin, [B, …] each."""

    @abstractmethod
    def row(self, data: Data, s: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return the loss, the next s, the gradients [N] of θ and of the head, and the next memory, without rows.

        ``s`` has no numbers where a stream begins.
        """


class Onward(Learner):
    """A gradient at every step, from what is carried along; a batch's gradient is the mean over its steps and rows."""

    name: str
    parts: int
    """Tensors of memory."""

    @abstractmethod
    def rule(self, model: StreamModel, step: OneStep) -> Rule:
        """Make the rule for ``model``."""

    @final
    def step(self, model: Trainable, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        network, stretch = streaming(self.name, model, batch)
        state, memory = carry[: -self.parts], carry[-self.parts :]
        step = OneStep(self.name, network, stretch, state)
        rule = self.rule(network, step)
        memory = memory or rule.start(step.rows)
        states = step.row_states(state)
        total, theta, head = states.new_zeros(()), torch.zeros_like(step.theta), torch.zeros_like(step.head)
        with plain_steps(), torch.no_grad():
            rows = vmap(rule.row, randomness="different")
            for data in steps_of(stretch):
                losses, states, to_theta, to_head, *after = rows(data, states, *memory)
                total, theta, head, memory = (
                    total + losses.sum(), theta + to_theta.sum(0), head + to_head.sum(0), tuple(after)
                )  # fmt: skip
        count = stretch.steps * step.rows
        step.leave(theta / count, head / count)
        return total / count, (*step.carry(states), *memory)
