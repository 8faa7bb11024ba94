"""Everything that is measured of a network with a recurrent body: one call for the report and the checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from seriatim.insight.ablation import WAYS, Ablation, ablate, default_contexts
from seriatim.insight.gradients import input_gradient_norms
from seriatim.insight.horizon import LagCurve, curve_of
from seriatim.insight.jacobians import gain_by_lag, jacobians_backwards, singular_values
from seriatim.insight.lyapunov import Spectrum, spectrum_of
from seriatim.insight.probe import Probe
from seriatim.insight.step import FlatStep, flat_step, trajectory
from seriatim.insight.time_constants import lru_retention, retention, time_constants
from seriatim.insight.units import Units, examine
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.saturation import ACTIVATIONS
from seriatim.nn.sequence import SequenceLayer

WORK = 1.5e11
"""Multiplications that the Jacobians of one inspection may take: about ten seconds on one core."""
MOST_ROWS = 4
EXPONENTS = 8


@dataclass(frozen=True)
class LayerMeasures:
    """The measures of one recurrent layer that reads forwards."""

    kind: str
    gain: LagCurve | None
    """Largest singular value of ∂s_T/∂s_{T-k}; None where the work would be too much."""
    spectrum: Spectrum | None
    """The largest exponents, of the adjoint: how gradients on their way back grow or shrink per step."""
    weight_norms: Mapping[str, float]
    """Largest singular value of the weights between hidden states, by gate."""
    retained: Tensor | None
    """[T, B, H]: the share of its old value that each unit kept."""
    gates: Mapping[str, Units]
    hidden: Units
    """Of h; the flags of an activation hold for an ``rnn`` alone."""
    states: Mapping[str, Tensor]
    """[T, B, H]: h, gates and states over the batch."""

    @property
    def is_finite(self) -> bool:
        """Whether all states are finite numbers: none has exploded."""
        return all(bool(values.isfinite().all()) for values in self.states.values())

    @property
    def constants(self) -> Tensor | None:
        """[H]: the time constant of each unit."""
        return None if self.retained is None else time_constants(self.retained)


@dataclass(frozen=True)
class NetworkMeasures:
    """The measures of a network."""

    gradient: LagCurve
    """‖∂loss_T/∂x_{T-k}‖, each row over its own largest value."""
    ablations: Mapping[str, Ablation]
    layers: tuple[LayerMeasures, ...]
    """Empty for a body that is not recurrent, or reads in both directions."""
    shortcut: str
    """Why no step is far from the loss; empty where a horizon in steps says how far back the memory reaches."""
    steps: int
    """T: how many steps were read."""


def measure(probe: Probe) -> NetworkMeasures:
    """Measure the network of ``probe``: gradients and ablations by lag, and its recurrent layers if it has them."""
    norms = input_gradient_norms(probe.losses, probe.inputs).double()
    largest = norms.max(0).values
    curve = curve_of(norms[:, largest > 0] / largest[largest > 0] if (largest > 0).any() else norms)
    contexts = default_contexts(len(probe.inputs))
    ablations = {  # only a cut is read for its horizon; the others always run over all steps
        way: ablate(
            probe.losses, probe.inputs, contexts if way == "cut" else contexts[::-2], way, neutral=probe.neutral
        )
        for way in WAYS
    }
    layer = find_layer(probe.body)
    layers = () if layer is None or layer.bidirectional else tuple(_layers(layer, probe.inputs))
    return NetworkMeasures(curve, ablations, layers, probe.shortcut, len(probe.inputs))


def find_layer(body: nn.Module) -> SequenceLayer | None:
    """Return the recurrent layers of a body; None for a body of another kind."""
    return next((module for module in body.modules() if isinstance(module, SequenceLayer)), None)


def states_of(probe: Probe) -> Tensor | None:
    """The longest-lived state of the last recurrent layer, [T, B, H]: c where there is one, else h.

    None for a body that is not recurrent, or reads in both directions.
    """
    layer = find_layer(probe.body)
    if layer is None or layer.bidirectional:
        return None
    with torch.no_grad():
        states_by_name: Mapping[str, Tensor] = layer(probe.inputs, return_states="all")[2]
    name = next((name for name in ("c", "h") if name in states_by_name), next(iter(states_by_name)))
    return states_by_name[name][-1]


def _layers(layer: SequenceLayer, inputs: Tensor) -> Iterator[LayerMeasures]:
    with torch.no_grad():
        states_by_name = layer(inputs, return_states="all")[2]
    step = flat_step(layer)
    gains, spectra = _dynamics(step, layer, inputs)
    single = [module for module in layer.modules() if isinstance(module, RecurrentLayer)]
    for index in range(len(step.layers)):
        states = {name: values[index] for name, values in states_by_name.items()}
        recurrent = single[min(index, len(single) - 1)] if single else None
        kind = recurrent.spec.kind if recurrent else type(layer).__name__.lower()
        own_index = index if recurrent is not None and recurrent.num_layers > 1 else 0
        activation = recurrent.spec.activation if recurrent and kind == "rnn" else "tanh"
        yield LayerMeasures(
            kind,
            gains[index] if gains else None,
            spectra[index] if spectra else None,
            _weight_norms(recurrent, own_index) if recurrent else {},
            _retained(kind, states, recurrent, own_index),
            {gate: examine(states[gate], name) for gate, name in ACTIVATIONS.get(kind, {}).items()},
            examine(states["h"] if "h" in states else next(iter(states.values())), activation),
            states,
        )


def _dynamics(step: FlatStep, layer: nn.Module, inputs: Tensor) -> tuple[list[LagCurve], list[Spectrum]]:
    """Gains and exponents of each layer over the last steps, as many as ``WORK`` allows; empty for fewer than 8."""
    weights = sum(parameter.numel() for parameter in layer.parameters())
    rows = min(MOST_ROWS, inputs.shape[1])
    per_row = 3 * step.size * weights + 2 * step.size**3
    while rows > 1 and WORK / (rows * per_row) < min(64, len(inputs)):
        rows -= 1
    steps = min(len(inputs), int(WORK / (rows * per_row)))
    if steps < 8:
        return [], []
    states = trajectory(step, inputs[:, :rows], step.zeros(rows, inputs))[-steps - 1 :]
    jacobians = list(_blocks(step, inputs[-steps:, :rows], states))
    lags = {int(lag) for lag in np.geomspace(1, steps, 24).round()}
    gains, spectra = [], []
    for index, part in enumerate(step.layers):
        places, largest, _ = gain_by_lag((blocks[index] for blocks in jacobians), lags)
        gains.append(curve_of(largest, places))
        count = min(EXPONENTS, part.stop - part.start)
        spectra.append(spectrum_of((blocks[index].mT for blocks in jacobians), count, warmup=steps // 4))
    return gains, spectra


def _blocks(step: FlatStep, inputs: Tensor, states: Tensor) -> Iterator[list[Tensor]]:
    """The blocks of the Jacobians on the diagonal, one a layer, from the last step back."""
    for jacobian in jacobians_backwards(step, inputs, states):
        yield [jacobian[:, part, part].clone() for part in step.layers]


def _weight_norms(layer: RecurrentLayer, index: int) -> dict[str, float]:
    weight = getattr(layer, f"weight_hh_l{index}", None)
    if weight is None:
        return {}
    blocks = weight.detach().chunk(len(layer.spec.gates))
    return {gate: float(singular_values(block)[0]) for gate, block in zip(layer.spec.gates, blocks, strict=True)}


def _retained(kind: str, states: Mapping[str, Tensor], layer: RecurrentLayer | None, index: int) -> Tensor | None:
    if kind == "lru" and layer is not None:
        modulus = lru_retention(getattr(layer, f"decay_l{index}").detach())
        return modulus.expand(*states["h"].shape[:2], -1)
    return retention(kind, states)
