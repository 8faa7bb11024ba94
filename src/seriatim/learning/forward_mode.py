"""What the learners forward in time share: the walk over the steps of a batch, row by row.

What a rule remembers of a row stands behind the model's state in the carry, rows first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, TypeAlias, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.learning.learner import Learner, SegmentSize, require_stream
from seriatim.learning.step_function import Data, StepFunction, Weights, iterate_steps
from seriatim.learning.traced import Flat, TracedFunction
from seriatim.models.contract import BatchT, Carry, Segment, StreamModel, Trainable, tensors

Influence: TypeAlias = tuple[Tensor, ...]

TRACE_AFTER = 100
"""Steps of one kind after which their operations are written down once and for all: that costs about as much."""


class InfluenceRule(ABC):
    """How one row goes one step, for one model."""

    @abstractmethod
    def start(self, rows: int) -> Influence:
        """What is remembered where streams begin, [B, …] each."""

    @abstractmethod
    def row(self, weights: Weights, data: Data, s: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """Return the loss, the next s, the gradients [N] of θ and of the head, and the next memory, without rows.

        ``s`` has no numbers where a stream begins.
        """


class ForwardModeLearner(Learner):
    """A gradient at every step, from what is carried along; a batch's gradient is the mean over its steps and rows.

    The operations of a step are kept for the model that was learned last: they follow from the model alone.
    """

    name: str
    parts: int
    """Tensors of memory."""

    def __init__(self, *, k1: int = 1) -> None:
        self.k1 = k1
        self._model: tuple[object, ...] = ()
        self._walks: dict[object, _Walk] = {}

    @property
    def segment(self) -> SegmentSize:
        return SegmentSize(self.k1)

    @abstractmethod
    def rule(self, model: StreamModel[Any], step: StepFunction) -> InfluenceRule:
        """Make the rule for ``model``."""

    @final
    def step(self, model: Trainable[BatchT], batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        network, segment = require_stream(self.name, model, batch)
        state, memory = carry[: -self.parts], carry[-self.parts :]
        walk = self._walk(network, segment, state)
        step = walk.step
        memory = memory or walk.rule.start(step.rows)
        weights, states = step.weights(), step.row_states(state)
        total, theta, head = states.new_zeros(()), torch.zeros_like(weights.theta), torch.zeros_like(weights.head)
        with network.plain_steps(), torch.no_grad():
            for data in iterate_steps(segment):
                losses, states, to_theta, to_head, *after = walk.go(weights, data, states, memory)
                total, theta, head, memory = (
                    total + losses.sum(), theta + to_theta.sum(0), head + to_head.sum(0), tuple(after)
                )  # fmt: skip
        count = segment.steps * step.rows
        step.leave(theta / count, head / count)
        return total / count, (*step.carry(states), *memory)

    def _walk(self, model: StreamModel[Any], batch: Segment, state: Carry) -> _Walk:
        """The walk for batches like this one."""
        now = (model, *((id(one), one.shape, one.requires_grad) for one in model.parameters()))
        if now != self._model:
            self._model, self._walks = now, {}
        like = tuple((name, one.shape[1:], one.dtype) for name, one in tensors(batch).items())
        kind = like, model.training, tuple(one.shape for one in state)
        if kind not in self._walks:
            step = StepFunction(self.name, model, batch, state)
            self._walks[kind] = _Walk(step, self.rule(model, step))
        return self._walks[kind]


@final
class _Walk:
    """One step of all rows, for one model and one kind of batch."""

    def __init__(self, step: StepFunction, rule: InfluenceRule) -> None:
        self.step, self.rule = step, rule
        self._written: dict[bool, Flat] = {}
        """The operations of a step that goes on from a state, and of one that begins a stream."""
        self._seen = {True: 0, False: 0}

    def go(self, weights: Weights, data: Data, states: Tensor, memory: Influence) -> tuple[Tensor, ...]:
        """As ``InfluenceRule.row``, for all rows."""
        given = (weights.theta, weights.head, *weights.constants.values(), *data.values(), states, *memory)
        run, begins = self._plain(weights, data), not states.shape[1]
        self._seen[begins] += 1
        if self._seen[begins] == TRACE_AFTER:
            with suppress(RuntimeError):
                self._written[begins] = TracedFunction(run, given, 2 + len(weights.constants))
        return self._written.get(begins, run)(*given)

    def _plain(self, weights: Weights, data: Data) -> Flat:
        """The step as a function of a row of tensors."""
        fixed, read = 2 + len(weights.constants), len(data)

        def run(theta: Tensor, head: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
            constants = dict(zip(weights.constants, others, strict=False))
            rows = dict(zip(data, others[fixed - 2 :], strict=False))
            every = vmap(
                self.rule.row, in_dims=(None, *(0 for _ in others[fixed - 3 + read :])), randomness="different"
            )
            found: tuple[Tensor, ...] = every(Weights(theta, head, constants), rows, *others[fixed - 2 + read :])
            return found

        return run
