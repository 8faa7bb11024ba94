"""Scores of an exported model that reads sequences step by step, with the arithmetic of its streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
import torch

from seriatim.runtime.arithmetic import softmax
from seriatim.runtime.body import Body
from seriatim.runtime.language import NetworkLanguageModel
from seriatim.runtime.model import Model
from seriatim.runtime.sequences import Classifier, Regressor
from seriatim.runtime.state import State

Array = np.ndarray[Any, Any]

ROWS: Final = 64
"""Sequences that are read side by side."""


@final
class Stepped:
    """A network of the runtime with the methods by which ``Task.score`` asks a model for its predictions."""

    def __init__(self, model: NetworkLanguageModel | Classifier | Regressor) -> None:
        self._model = model

    def eval(self) -> None:
        """Do nothing: the runtime does not train."""

    def nll(
        self, units: torch.Tensor, targets: torch.Tensor, carry: Sequence[Any], reset: torch.Tensor | None
    ) -> tuple[torch.Tensor, tuple[Any, ...]]:
        """Return −log P of ``targets`` [T, B], each after ``units`` [T, B], and the carry of each row."""
        model: Any = self._model
        carries = list(carry) or [()] * units.shape[1]
        losses = np.empty(units.shape)
        rows = np.arange(units.shape[1])
        for step, (inputs, outputs) in enumerate(zip(units.numpy(), targets.numpy(), strict=True)):
            for row in () if reset is None else torch.nonzero(reset[step]).flatten().tolist():
                carries[row] = ()
            chances, carries = model.step_rows(inputs, carries)
            losses[step] = -chances[rows, outputs]
        return torch.from_numpy(losses), tuple(carries)

    def probabilities(self, sequences: Sequence[Array]) -> Array:
        """Return the probability of each class for each encoded sequence, [N, K]."""
        return softmax(self._outputs(sequences))

    def predictions(self, sequences: Sequence[Array]) -> Array:
        """Return the mean and the quantiles of each encoded sequence, [N, 1 + Q]."""
        model: Any = self._model
        result: Array = model.in_units(self._outputs(sequences))
        return result

    def _outputs(self, sequences: Sequence[Array]) -> Array:
        network: Any = self._model.network  # type: ignore[union-attr]
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        result: Array = np.empty((len(sequences), len(network.head[1])))
        for first in range(0, len(order), ROWS):
            indices = order[first : first + ROWS]
            states = [State() for _ in indices]
            for step in range(len(sequences[indices[-1]])):
                begin = next(row for row, index in enumerate(indices) if len(sequences[index]) > step)
                network.step_rows(states[begin:], [sequences[index][step] for index in indices[begin:]])
            result[indices] = network.outputs(states)
        return result


def stepped(model: Model) -> Stepped | None:
    """Return a model that was loaded with ``arithmetic="stored"`` for ``Task.score``.

    None if no step of its streams multiplies weights as they are stored, or if it is no language model, classifier or
    regressor.
    """
    body: Body | None
    if isinstance(model, NetworkLanguageModel):
        body = model.body
    elif isinstance(model, (Classifier, Regressor)) and model.network is not None and model.network.is_causal:
        body = model.network.body
    else:
        return None
    return Stepped(model) if body is not None and body.is_causal and body.has_reduced_steps else None
