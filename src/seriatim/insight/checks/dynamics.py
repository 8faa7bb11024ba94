"""Checks of the dynamics: explosion, gates, saturated, dead and constant units."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from seriatim.insight.checks.advice import rate
from seriatim.insight.checks.check import Check, unknown
from seriatim.insight.evidence import Evidence
from seriatim.insight.network import LayerMeasures
from seriatim.nn.saturation import RETAINING
from seriatim.percent import percent

EXPONENT = 0.05
"""Nats per step: a change grows 150-fold over 100 steps."""
GAIN = 100.0
BURST = 100.0
STUCK = 0.5
"""The share of a layer's units that makes a stuck gate a fault."""
OPEN, SHUT = 0.995, 0.05
"""Of a retained share: forgets 1 % in 2 steps, or nothing in 900."""
SLOPE = 0.1
"""Mean derivative below which a layer passes less than a tenth of its gradient at each step."""
GATE_SATURATED = 0.6
DEAD = 0.3
CONSTANT = 0.3


def exploding(evidence: Evidence) -> Check:
    """Look for gradients that grow on their way back."""
    check = unknown(
        "exploding_gradient",
        f"fault if the largest Lyapunov exponent is above {EXPONENT} per step and changes have grown {GAIN:.0f}-fold",
    )
    network = evidence.network
    rates = [float(layer.spectrum.exponents.mean(0)[0]) for layer in _layers(evidence) if layer.spectrum]
    if network is None or not rates:
        return check
    advice = "--clip 1" if not evidence.options.get("clip") else rate(evidence, 0.1)
    gains = [float(layer.gain.median.max()) for layer in _layers(evidence) if layer.gain]
    if not all(layer.is_finite for layer in network.layers) or not all(map(math.isfinite, gains)):
        return check.failed("fault", math.inf, "the state or its derivative is not finite", advice, "high")
    worst = max(rates)
    if worst > EXPONENT and max(gains) > GAIN:
        return check.failed(
            "fault", worst, f"a change of the state grows by {worst:.2f} nats per step, {max(gains):.3g}-fold in all",
            advice, "high",
        )  # fmt: skip
    return check.ok(worst, f"the largest Lyapunov exponent is {worst:.3f} nats per step")


def clipping(evidence: Evidence) -> Check:
    """Look at the norm of the gradient: clipped too often, or too large without clipping."""
    check = unknown(
        "clipping",
        "warning if the gradient is clipped at nearly every update to less than a tenth; fault if it is not clipped "
        f"and its mean norm at one validation is {BURST:.0f} times that at another",
    )
    clip = float(evidence.options.get("clip") or 0.0)
    rows = [row for row in evidence.rows if "clipped" in row and "gradient_norm" in row]
    if len(rows) < 2:
        return check
    if not clip:
        norms = [row["gradient_norm"] for row in rows]
        burst = max(norms) / max(min(norms), 1e-12)
        summary = f"the mean gradient norm was between {min(norms):.3g} and {max(norms):.3g}, without clipping"
        if burst > BURST and max(norms) > 1:
            return check.failed("fault", burst, summary, "--clip 1", "high")
        return check.ok(burst, summary)
    late = rows[-max(len(rows) // 3, 1) :]
    share = sum(row["clipped"] for row in late) / len(late)
    norm = sum(row["gradient_norm"] for row in late) / len(late)
    summary = f"{percent(share)} of the last updates were clipped at {clip:g}; the mean norm was {norm:.3g}"
    if share > 0.9 and norm > 10 * clip:
        return check.failed("warning", norm / clip, summary, rate(evidence, 0.1))
    return check.ok(norm / clip, summary)


def gates_open(evidence: Evidence) -> Check:
    """Look for gates that keep everything, whatever is read."""
    check = unknown(
        "gates_open",
        f"fault if {percent(STUCK)} of a layer's units keep more than {OPEN} at every step: they do not forget",
    )
    shares = [_share(layer, lambda shares_kept: shares_kept.min(0).values > OPEN) for layer in _gated(evidence)]
    if not shares:
        return check
    worst = max(shares)
    summary = f"{percent(worst)} of the units keep more than {OPEN} at every step that was read"
    if worst >= STUCK:
        return check.failed("fault", worst, summary, "--forget-bias 1", "high")
    return check.ok(worst, summary)


def gates_shut(evidence: Evidence) -> Check:
    """Look for gates that keep nothing, whatever is read."""
    check = unknown(
        "gates_shut",
        f"fault if {percent(STUCK)} of a layer's units keep less than {SHUT} at every step: 1 % after 2 steps",
    )
    shares = [_share(layer, lambda shares_kept: shares_kept.max(0).values < SHUT) for layer in _gated(evidence)]
    if not shares:
        return check
    worst = max(shares)
    summary = f"{percent(worst)} of the units keep less than {SHUT} at every step that was read"
    if worst >= STUCK:
        return check.failed("fault", worst, summary, "--forget-bias 1", "high")
    return check.ok(worst, summary)


def saturation(evidence: Evidence) -> Check:
    """Look for tanh units whose derivative is nearly zero."""
    check = unknown(
        "saturation",
        f"fault if the mean derivative of a layer's tanh is below {SLOPE} of its largest: a step passes a tenth",
    )
    slopes = []
    for layer in _layers(evidence):
        if layer.kind == "rnn":
            slopes.append(("h", float(layer.hidden.derivative.mean())))
        slopes += [(gate, float(units.derivative.mean())) for gate, units in layer.gates.items() if gate in "gn"]
    if not slopes:
        return check
    name, worst = min(slopes, key=lambda pair: pair[1])
    summary = f"the mean derivative of {name} is {worst:.3f} of its largest"
    if worst < SLOPE:
        return check.failed("fault", worst, summary, rate(evidence, 0.1), "high")
    return check.ok(worst, summary)


def gate_saturation(evidence: Evidence) -> Check:
    """Look for gates that are at 0 or 1 nearly always."""
    check = unknown(
        "gate_saturation",
        f"fault if a gate is saturated at {percent(GATE_SATURATED)} of all steps and units; the gate that retains does "
        "not count, since near 1 it remembers",
    )
    shares = [
        (gate, float(units.saturated.mean()))
        for layer in _layers(evidence)
        for gate, units in layer.gates.items()
        if gate != RETAINING.get(layer.kind, "f") and gate not in "gn"
    ]
    if not shares:
        return check
    name, worst = max(shares, key=lambda pair: pair[1])
    summary = f"gate {name} is saturated at {percent(worst)} of all steps"
    if worst >= GATE_SATURATED:
        return check.failed("fault", worst, summary, rate(evidence, 0.1))
    return check.ok(worst, summary)


def dead(evidence: Evidence) -> Check:
    """Look for units of a relu that are zero at every step."""
    check = unknown("dead_units", f"fault if {percent(DEAD)} of a layer's units pass no gradient at any step")
    if evidence.options.get("activation") != "relu":
        return check
    shares = [float(layer.hidden.is_dead.double().mean()) for layer in _layers(evidence) if layer.kind == "rnn"]
    if not shares:
        return check
    worst = max(shares)
    summary = f"{percent(worst)} of the units are zero at every step"
    if worst >= DEAD:
        return check.failed("fault", worst, summary, "--activation tanh", "high")
    return check.ok(worst, summary)


def constant(evidence: Evidence) -> Check:
    """Look for units whose value does not depend on what is read."""
    check = unknown("constant_units", f"warning if {percent(CONSTANT)} of a layer's units do not change with the data")
    shares = [float(layer.hidden.is_constant.double().mean()) for layer in _layers(evidence)]
    if not shares:
        return check
    worst = max(shares)
    summary = f"{percent(worst)} of the units have the same value whatever is read"
    if worst >= CONSTANT:
        return check.failed("warning", worst, summary, rate(evidence, 0.1))
    return check.ok(worst, summary)


def _layers(evidence: Evidence) -> tuple[LayerMeasures, ...]:
    return evidence.network.layers if evidence.network else ()


def _gated(evidence: Evidence) -> list[LayerMeasures]:
    """Layers whose gate can be stuck; an LRU's |λ| is a weight."""
    return [layer for layer in _layers(evidence) if layer.retained is not None and layer.kind != "lru"]


def _share(layer: LayerMeasures, is_stuck: Callable[[Tensor], Tensor]) -> float:
    assert layer.retained is not None
    return float(is_stuck(layer.retained.flatten(0, -2)).double().mean())
