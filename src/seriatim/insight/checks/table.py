"""The table of checks."""

from __future__ import annotations

from collections.abc import Callable

from seriatim.insight.checks import dynamics, inputs, memory, training
from seriatim.insight.checks.check import Check
from seriatim.insight.evidence import Evidence

CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    memory.reach, memory.vanishing, memory.use, memory.dependence, dynamics.exploding, dynamics.clipping,
    dynamics.gates_open, dynamics.gates_shut, dynamics.saturation, dynamics.gate_saturation, dynamics.dead,
    dynamics.constant, training.rate_high, training.rate_low, training.still_learning, training.overfitting,
    training.baselines, training.relation, training.confidence, training.coverage, inputs.constant_inputs,
    inputs.leaks, inputs.season, inputs.repeats,
)  # fmt: skip
"""In the order of the report."""


def run_checks(evidence: Evidence) -> tuple[Check, ...]:
    """Answer every check."""
    return tuple(check(evidence) for check in CHECKS)
