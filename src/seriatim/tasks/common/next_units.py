"""Predictions of language models: the probability of each unit of a text, and of each possible next unit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
import torch

from seriatim.data.streams import marks_at
from seriatim.encoding.scoring_batches import scoring_batches
from seriatim.models.contract import Carry
from seriatim.models.language import NeuralLanguageModel
from seriatim.models.naive.markov import Markov
from seriatim.models.unit_stream import UnitStream
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.blend import Blend

Array = np.ndarray[Any, Any]

EVALUATION_ROWS = 32
"""A text is scored as this many rows, side by side."""
WARM_UP = 512
"""Units that each row reads before its first scored unit, so that its state knows the context."""
EVALUATION_STEPS = 256

UnitModel = Markov | NeuralLanguageModel


def log_probabilities(model: UnitModel | Blend, tokens: Array, starts: Array | None = None) -> Array:
    """Return log P of each unit given all units before it, ``[N]`` in nats. Their sum is the joint log-probability.

    A network's state is reset at the positions ``starts``, where documents begin.
    """
    if isinstance(model, Blend):
        return model.mix(model.each(lambda member: log_probabilities(member.model, tokens, starts)))
    if isinstance(model, Markov):
        return model.log_probabilities(tokens)
    model.eval()
    losses: list[Array] = []
    scored: list[Array] = []
    rows = max(1, min(EVALUATION_ROWS, len(tokens) // WARM_UP))
    carry: Carry = ()
    marks: Array = np.zeros(0) if starts is None or len(starts) < 2 else marks_at(starts, len(tokens))
    resets = (torch.from_numpy(reset > 0) for _, reset, _ in scoring_batches(marks, rows, EVALUATION_STEPS, WARM_UP))
    with torch.no_grad():
        for inputs, targets, weights in scoring_batches(tokens, rows, EVALUATION_STEPS, WARM_UP):
            reset = next(resets, None)
            units = torch.from_numpy(inputs)
            units = units if reset is None else units.masked_fill(reset, UNKNOWN)
            nll, carry = model.nll(units, torch.from_numpy(targets), carry, reset)
            losses.append(nll.numpy().astype(np.float64))
            scored.append(weights > 0)
    loss_of_rows, is_scored = np.concatenate(losses).T, np.concatenate(scored).T
    result: Array = -loss_of_rows[is_scored]
    return result


class UnitStepper(ABC):
    """A model as a step function."""

    @abstractmethod
    def read(self, prompt: Array) -> tuple[int, Any]:
        """Return the last unit of ``prompt`` (<unk> when it is empty) and the state before it."""

    @abstractmethod
    def step(self, unit: int, state: Any) -> tuple[Array, Any]:
        """Read ``unit``; return log-probabilities [V] of the next one and the state. ``state`` may be changed."""

    def scores(self, unit: int, state: Any) -> tuple[Array, Any]:
        """As ``step``, but a constant may be missing from the log-probabilities, which sampling does not need."""
        return self.step(unit, state)


@final
class MarkovStepper(UnitStepper):
    """An n-gram model as a step function. Its state is the previous units."""

    def __init__(self, model: Markov) -> None:
        self._model = model

    def read(self, prompt: Array) -> tuple[int, tuple[int, ...]]:
        units = tuple(int(unit) for unit in prompt)
        return (units[-1], units[:-1]) if units else (UNKNOWN, ())

    def step(self, unit: int, state: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
        context = (*state, unit)[-self._model.order :] if self._model.order and (state or unit != UNKNOWN) else ()
        return self._model.step(np.asarray(context, np.int64)), context


@final
class NetworkStepper(UnitStepper):
    """A network as a step function. Its state is a stream, which each step changes, or else the carry."""

    def __init__(self, network: NeuralLanguageModel) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def read(self, prompt: Array) -> tuple[int, UnitStream | Carry]:
        units = np.concatenate([[UNKNOWN], prompt]).astype(np.int64)
        carry: Carry = ()
        if len(units) > 1:
            _, carry = self._network(torch.from_numpy(units[:-1, None]), ())
        return int(units[-1]), self._network.stream(carry) or carry

    def step(self, unit: int, state: UnitStream | Carry) -> tuple[Array, UnitStream | Carry]:
        scores, state = self.scores(unit, state)
        return torch.log_softmax(torch.from_numpy(scores), -1).numpy(), state

    def scores(self, unit: int, state: UnitStream | Carry) -> tuple[Array, UnitStream | Carry]:
        if isinstance(state, UnitStream):
            return state.step(unit).astype(np.float64), state
        with torch.no_grad():
            logits, state = self._network(torch.tensor([[unit]]), state)
        return logits[0, 0].double().numpy(), state


@final
class BlendStepper(UnitStepper):
    """A blend as a step function. Its state has the states of its members."""

    def __init__(self, blend: Blend) -> None:
        self._blend = blend
        self._steppers = [unit_stepper(member.model) for member in blend.members]

    def read(self, prompt: Array) -> tuple[int, Any]:
        readings = [stepper.read(prompt) for stepper in self._steppers]
        return readings[0][0], tuple(state for _, state in readings)

    def step(self, unit: int, state: Any) -> tuple[Array, Any]:
        steps = [stepper.step(unit, part) for stepper, part in zip(self._steppers, state, strict=True)]
        return self._blend.mix(np.stack([chances for chances, _ in steps])), tuple(new for _, new in steps)


def unit_stepper(model: UnitModel | Blend) -> UnitStepper:
    """Return ``model`` as a step function."""
    if isinstance(model, Blend):
        return BlendStepper(model)
    return MarkovStepper(model) if isinstance(model, Markov) else NetworkStepper(model)
