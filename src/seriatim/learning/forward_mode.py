"""The common part of learners whose gradient goes forward in time: they go over the steps of a batch, row by row.

The carry holds the model's state, and after it the influence: what a rule remembers of each row, with rows first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, TypeAlias, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.learning.learner import Learner, SegmentSize, require_stream
from seriatim.learning.step_function import Data, ModelWeights, StepFunction, iterate_steps
from seriatim.learning.traced import Function, TracedFunction
from seriatim.models.contract import BatchT, Carry, Segment, StreamModel, Trainable, tensors

Influence: TypeAlias = tuple[Tensor, ...]

TRACE_AFTER = 100
"""Steps after which a step is traced. Tracing costs about as much time as these."""


class InfluenceRule(ABC):
    """The rule by which one row moves by one step, for one model."""

    @abstractmethod
    def start(self, rows: int) -> Influence:
        """Return the influence where streams begin, tensors [B, …]."""

    @abstractmethod
    def row(self, weights: ModelWeights, data: Data, s: Tensor, *influence: Tensor) -> tuple[Tensor, ...]:
        """Return the loss, the next s, the gradients of θ [N] and readout [M], and the next influence of one row.

        ``s`` has length 0 where a stream begins.
        """


class ForwardModeLearner(Learner):
    """A learner with a gradient at every step. A batch's gradient is the mean over its steps and rows.

    The traced step of the last model is kept, since it follows from the model alone.
    """

    name: str
    influence_parts: int
    """The number of tensors of the influence."""

    def __init__(self, *, k1: int = 1) -> None:
        self.k1 = k1
        self._model_key: tuple[object, ...] = ()
        self._batch_steps: dict[object, _BatchStep] = {}

    @property
    def segment(self) -> SegmentSize:
        return SegmentSize(self.k1)

    @abstractmethod
    def rule(self, model: StreamModel[Any], step: StepFunction) -> InfluenceRule:
        """Make the rule for ``model``."""

    @final
    def step(self, model: Trainable[BatchT], batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        network, segment = require_stream(self.name, model, batch)
        state, influence = carry[: -self.influence_parts], carry[-self.influence_parts :]
        batch_step = self._batch_step(network, segment, state)
        step = batch_step.step
        influence = influence or batch_step.rule.start(step.rows)
        weights, states = step.weights(), step.row_states(state)
        loss, theta, readout = states.new_zeros(()), torch.zeros_like(weights.theta), torch.zeros_like(weights.readout)
        with network.plain_steps(), torch.no_grad():
            for data in iterate_steps(segment):
                losses, states, of_theta, of_readout, *next_influence = batch_step.run(weights, data, states, influence)
                loss, theta, readout = loss + losses.sum(), theta + of_theta.sum(0), readout + of_readout.sum(0)
                influence = tuple(next_influence)
        count = segment.steps * step.rows
        step.accumulate_grad(theta / count, readout / count)
        return loss / count, (*step.carry(states), *influence)

    def _batch_step(self, model: StreamModel[Any], batch: Segment, state: Carry) -> _BatchStep:
        """Return the step for batches of this form."""
        model_key = (model, *((id(weight), weight.shape, weight.requires_grad) for weight in model.parameters()))
        if model_key != self._model_key:
            self._model_key, self._batch_steps = model_key, {}
        form = tuple((name, tensor.shape[1:], tensor.dtype) for name, tensor in tensors(batch).items())
        key = form, model.training, tuple(part.shape for part in state)
        if key not in self._batch_steps:
            step = StepFunction(self.name, model, batch, state)
            self._batch_steps[key] = _BatchStep(step, self.rule(model, step))
        return self._batch_steps[key]


@final
class _BatchStep:
    """One step of all rows, for one model and one form of batch."""

    def __init__(self, step: StepFunction, rule: InfluenceRule) -> None:
        self.step, self.rule = step, rule
        self._traced: dict[bool, Function] = {}
        """The traced steps, by whether the step begins a stream."""
        self._calls = {True: 0, False: 0}

    def run(self, weights: ModelWeights, data: Data, states: Tensor, influence: Influence) -> tuple[Tensor, ...]:
        """Return the results of ``InfluenceRule.row`` for all rows."""
        arguments = (
            weights.theta, weights.readout, *weights.constants.values(), *data.values(), states, *influence
        )  # fmt: skip
        function, begins = self._function(weights, data), not states.shape[1]
        self._calls[begins] += 1
        if self._calls[begins] == TRACE_AFTER:
            with suppress(RuntimeError):
                self._traced[begins] = TracedFunction(function, arguments, 2 + len(weights.constants))
        return self._traced.get(begins, function)(*arguments)

    def _function(self, weights: ModelWeights, data: Data) -> Function:
        """Return the step of all rows as a function of a flat list of tensors."""
        constants_count, data_count = len(weights.constants), len(data)

        def run(theta: Tensor, readout: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
            constants = dict(zip(weights.constants, others, strict=False))
            rows = dict(zip(data, others[constants_count:], strict=False))
            states_and_influence = others[constants_count + data_count :]
            in_dims = (None, *(0 for _ in (rows, *states_and_influence)))
            all_rows = vmap(self.rule.row, in_dims=in_dims, randomness="different")
            results: tuple[Tensor, ...] = all_rows(ModelWeights(theta, readout, constants), rows, *states_and_influence)
            return results

        return run
