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
    features: tuple[float, ...] = ()
    """[C]: the sum of the absolute attributions of each input channel."""
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
            tuple(attribution.values[:, row].abs().sum(0).tolist()),
            place,
        )
        for row, outcome in enumerate(outcomes)
    )


def feature_shares(samples: Sequence[Sample], names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Return the share of each input channel in the attributions of all samples; channels without a name are masks.

    >>> sample = Sample((), (1.0,), "2", (0.5,), 0.0, None, (3.0, 1.0))
    >>> feature_shares([sample], ["y", "x"])
    (('y', 0.75), ('x', 0.25))
    """
    sums = torch.tensor([sample.features[: len(names)] for sample in samples], dtype=torch.float64).sum(0)
    total = float(sums.sum()) or 1.0
    return tuple((name, float(value) / total) for name, value in zip(names, sums, strict=True))
