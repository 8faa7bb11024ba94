"""A model with a batch, as the measures read it: the inputs of the body, and the loss at the last step.

The body is the part between the embedding and the head. Its inputs are vectors, so that a gradient with respect to
them exists, and a context can be cut, shuffled or replaced in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.insight.gradients import Losses
from seriatim.models.body import Body
from seriatim.models.classifier import SequenceClassifier
from seriatim.models.forecaster import DirectForecaster, RecursiveForecaster, StepBatch, WindowBatch
from seriatim.models.language import SoftmaxLanguageModel
from seriatim.models.regressor import Regressor
from seriatim.models.roll import RollModel
from seriatim.models.subwords import SubwordBatch

BOTH_DIRECTIONS = "the model reads in both directions"


@dataclass(frozen=True)
class Probe:
    """A batch of B rows that end at the step where the loss is taken."""

    body: Body
    inputs: Tensor
    """[T, B, C]: what the body reads."""
    losses: Losses
    """The body's inputs → the loss of each row at its last step, [B], from the zero state."""
    neutral: Tensor | None = None
    """[C]: the input that says nothing; None: the mean of the inputs."""
    shortcut: str = ""
    """Why no step is far from the loss, where that is so: a horizon in steps then says nothing about memory."""


def find_body(model: nn.Module) -> Body:
    """Return the first body of ``model``. Raises ``UsageError`` where there is none."""
    for module in model.modules():
        if isinstance(module, Body):
            return module
    raise UsageError(f"model: {type(model).__name__} has no body that reads a sequence")


def reads_both_ways(body: nn.Module) -> bool:
    """Whether a recurrent layer of ``body`` also reads from the end."""
    return any(getattr(module, "bidirectional", False) for module in body.modules())


def language_probe(model: SoftmaxLanguageModel, units: Tensor) -> Probe:
    """Make the probe of a language model for texts [T + 1, B]: T units are read, and the last one is predicted."""
    model.eval()
    body, targets = find_body(model), units[-1]

    def losses(inputs: Tensor) -> Tensor:
        states, _ = body(inputs)
        return functional.cross_entropy(model.logits(states[-1]), targets, reduction="none")

    with torch.no_grad():
        return Probe(body, model.embeddings(units[:-1]), losses)


def classifier_probe(
    model: SequenceClassifier, inputs: Tensor, labels: Tensor, subwords: SubwordBatch | None = None
) -> Probe:
    """Make the probe of a classifier for sequences of equal length, [T, B] units or [T, B, C] numbers.

    ``subwords`` has the n-grams of the words, if the network reads them.
    """
    model.eval()

    def losses(dummy: Tensor, lengths: Tensor) -> Tensor:
        logits: Tensor = model(dummy, lengths, subwords and subwords.before(len(dummy)))
        return functional.cross_entropy(logits.float(), labels, reduction="none")

    return _sequence_probe(model, inputs, losses)


def regressor_probe(model: Regressor, inputs: Tensor, targets: Tensor, subwords: SubwordBatch | None = None) -> Probe:
    """Make the probe of a regressor: half the squared error of the mean."""
    model.eval()

    def losses(dummy: Tensor, lengths: Tensor) -> Tensor:
        errors: Tensor = targets - model(dummy, lengths, subwords and subwords.before(len(dummy)))[:, 0]
        return 0.5 * errors.square()

    return _sequence_probe(model, inputs, losses)


def roll_probe(model: RollModel, notes: Tensor) -> Probe:
    """Make the probe of a model of piano rolls [T + 1, B, K]: T steps are read, and the last one is predicted."""
    model.eval()
    body, targets = find_body(model), notes[-1]

    def losses(inputs: Tensor) -> Tensor:
        logits, _ = model(inputs)
        return functional.binary_cross_entropy_with_logits(logits[-1].float(), targets, reduction="none").sum(-1)

    return Probe(body, notes[:-1], losses, notes.new_zeros(notes.shape[2]))


def forecaster_probe(model: DirectForecaster | RecursiveForecaster, batch: WindowBatch) -> Probe:
    """Make the probe of a forecaster: the loss of the horizon (direct), or of the first step after the window."""
    model.eval()
    body = find_body(model)
    if isinstance(model, RecursiveForecaster):
        steps = model.batch(batch)
        count = len(batch.history)
        inputs, targets, weight = steps.inputs[:count], steps.targets[count - 1], steps.weight[count - 1]

        def density(vectors: Tensor) -> Tensor:
            targets_of_all = targets.expand(len(vectors), *targets.shape)
            log_density, _ = model.log_density(StepBatch(vectors, targets_of_all, torch.ones_like(targets_of_all)))
            total: Tensor = (log_density[-1] * weight).sum(1)
            return -total

        return Probe(body, inputs, density)

    inputs = inputs_of(body, lambda: model(batch.history, batch.start))

    def losses(vectors: Tensor) -> Tensor:
        with reading(body, vectors):
            forecast, mean, deviation = model(batch.history, batch.start)
        # The naive forecast that the head adds to comes from the same steps as the body's inputs. A fitted
        # autoregressive start stays as it is: its own memory is its number of lags.
        if batch.start is None:
            forecast = forecast + (model.anchor(vectors) - model.anchor(inputs)).unsqueeze(-1)
        actual = (
            (batch.future[..., :targets_count] - mean[:, :targets_count]) / deviation[:, :targets_count]
        ).transpose(0, 1)
        error = actual.unsqueeze(-1) - forecast
        return torch.maximum(model.levels * error, (model.levels - 1) * error).mean((1, 2, 3))

    targets_count = model.shape.targets
    return Probe(body, inputs, losses)


def _sequence_probe(model: nn.Module, inputs: Tensor, losses: Callable[[Tensor, Tensor], Tensor]) -> Probe:
    body = find_body(model)
    rows = inputs.shape[1]

    def of_body_inputs(vectors: Tensor) -> Tensor:
        lengths = torch.full((rows,), len(vectors))
        with reading(body, vectors):
            return losses(inputs[: len(vectors)], lengths)

    whole = torch.full((rows,), len(inputs))
    shortcut = BOTH_DIRECTIONS if reads_both_ways(body) else ""
    return Probe(body, inputs_of(body, lambda: losses(inputs, whole)), of_body_inputs, shortcut=shortcut)


@contextmanager
def reading(body: Body, vectors: Tensor) -> Iterator[None]:
    """Within this block the body reads ``vectors`` in place of its first argument."""
    hook = body.register_forward_pre_hook(lambda module, arguments: (vectors, *arguments[1:]))
    try:
        yield
    finally:
        hook.remove()


def inputs_of(body: Body, call: Callable[[], Any]) -> Tensor:
    """Return what the body reads during ``call``."""
    captured: list[Tensor] = []
    hook = body.register_forward_pre_hook(lambda module, arguments: captured.append(arguments[0]))
    try:
        with torch.no_grad():
            call()
    finally:
        hook.remove()
    return captured[0]
