"""One sequence with what its prediction drew on, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seriatim.insight.network import find_layer
from seriatim.insight.probe import Probe
from seriatim.insight.saliency import integrated_gradients


@dataclass(frozen=True)
class Sample:
    """A sequence of T steps and its attributions."""

    steps: tuple[str, ...]
    """Captions of the steps: units of a text; empty for numbers."""
    values: tuple[float, ...]
    """The first channel, for numbers; empty for a text."""
    outcome: str
    """The value or unit to be predicted."""
    weights: tuple[float, ...]
    """[T]: how much each step lowered the loss (integrated gradients; they sum to the whole change)."""
    gap: float
    """The whole change less the sum of the weights: the error of the integral."""
    activity: Tensor | None
    """[T, H]: the state h of the first layer, where the body is recurrent and reads forwards."""
    place: int | None = None
    """The step that the outcome belongs to; None where it belongs to the next step, or to the whole sequence."""


def samples_of(
    probe: Probe,
    outcomes: Sequence[str],
    captions: Sequence[Sequence[str]] | None = None,
    place: int | None = None,
) -> tuple[Sample, ...]:
    """Make a sample of every row of ``probe``, with captions of its steps for a text, or the numbers that it reads."""
    attribution = integrated_gradients(lambda inputs: -probe.losses(inputs), probe.inputs, probe.inputs.mean((0, 1)))
    layer = find_layer(probe.body)
    states: Tensor | None = None
    if layer is not None and not layer.bidirectional:
        with torch.no_grad():
            states_by_name = layer(probe.inputs, return_states="all")[2]
        states = next(iter(states_by_name.values()))[0] if "h" not in states_by_name else states_by_name["h"][0]
    return tuple(
        Sample(
            tuple(captions[row]) if captions else (),
            () if captions else tuple(probe.inputs[:, row, 0].tolist()),
            outcome,
            tuple(attribution.by_step[:, row].tolist()),
            float(attribution.gap[row]),
            None if states is None else states[:, row],
            place,
        )
        for row, outcome in enumerate(outcomes)
    )
