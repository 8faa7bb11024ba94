"""A language model at work: the probability of each unit of a text, and of whatever may come next."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from seriatim.data.streams import marks_at, scoring_batches
from seriatim.models.contract import Carry
from seriatim.models.language import NeuralLanguageModel
from seriatim.models.naive.markov import Markov
from seriatim.notation import UNKNOWN
from seriatim.tasks.task import Model

Array = np.ndarray[Any, Any]

EVALUATION_ROWS = 32
"""Rows that a text is folded into when it is scored …"""
WARM_UP = 512
"""… and units that each row reads before the first one it is scored on, so that its state is warm."""
EVALUATION_STEPS = 256


def log_probabilities(model: Model, tokens: Array, starts: Array | None = None) -> Array:
    """Return log P of each unit given all before it, ``[N]`` in nats: their sum is the joint log-probability.

    What a network carries is forgotten where documents start, at the positions ``starts``.
    """
    if isinstance(model, Markov):
        return model.log_probabilities(tokens)
    assert isinstance(model, NeuralLanguageModel)
    model.eval()
    losses: list[Array] = []
    rows = max(1, min(EVALUATION_ROWS, len(tokens) // WARM_UP))
    carry: Carry = ()
    parts: list[Array] = []
    marks: Array = np.zeros(0) if starts is None or len(starts) < 2 else marks_at(starts, len(tokens))
    resets = (torch.from_numpy(reset > 0) for _, reset, _ in scoring_batches(marks, rows, EVALUATION_STEPS, WARM_UP))
    with torch.no_grad():
        for inputs, targets, weights in scoring_batches(tokens, rows, EVALUATION_STEPS, WARM_UP):
            reset = next(resets, None)
            given = torch.from_numpy(inputs)
            given = given if reset is None else given.masked_fill(reset, UNKNOWN)
            nll, carry = model.nll(given, torch.from_numpy(targets), carry, reset)
            losses.append(nll.numpy().astype(np.float64))
            parts.append(weights > 0)
    by_row, counted = np.concatenate(losses).T, np.concatenate(parts).T
    chances: Array = -by_row[counted]
    return chances


class MarkovStepper:
    """An n-gram model as a step function; its state is the units so far."""

    def __init__(self, model: Markov) -> None:
        self._model = model

    def read(self, prompt: Array) -> tuple[int, tuple[int, ...]]:
        """Return the last unit of ``prompt`` (<unk> when it is empty) and the state before it."""
        units = tuple(int(unit) for unit in prompt)
        return (units[-1], units[:-1]) if units else (UNKNOWN, ())

    def step(self, unit: int, state: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
        """Read ``unit``; return log-probabilities [V] of the next one and the state."""
        seen = (*state, unit)[-self._model.order :] if self._model.order and (state or unit != UNKNOWN) else ()
        return self._model.step(np.asarray(seen, np.int64)), seen


class NetworkStepper:
    """A network as a step function; its state is what it carries."""

    def __init__(self, network: NeuralLanguageModel) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def read(self, prompt: Array) -> tuple[int, Carry]:
        """Return the last unit of ``prompt`` and the state before it."""
        units = np.concatenate([[UNKNOWN], prompt]).astype(np.int64)
        carry: Carry = ()
        if len(units) > 1:
            _, carry = self._network(torch.from_numpy(units[:-1, None]), ())
        return int(units[-1]), carry

    @torch.no_grad()
    def step(self, unit: int, state: Carry) -> tuple[Array, Carry]:
        """Read ``unit``; return log-probabilities [V] of the next one and the state."""
        logits, state = self._network(torch.tensor([[unit]]), state)
        return torch.log_softmax(logits[0, 0].double(), -1).numpy(), state


def unit_stepper(model: Model) -> MarkovStepper | NetworkStepper:
    """Return ``model`` as a step function."""
    if isinstance(model, Markov):
        return MarkovStepper(model)
    assert isinstance(model, NeuralLanguageModel)
    return NetworkStepper(model)
