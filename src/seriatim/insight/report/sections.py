"""The sections of the page: horizons, checks, layers, attributions, training and scores. Each is HTML, or empty."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from torch import Tensor

from seriatim.insight.calibration import Calibration
from seriatim.insight.checks.check import Check
from seriatim.insight.checks.training import monitor_of
from seriatim.insight.evidence import Evidence
from seriatim.insight.followers import Follower
from seriatim.insight.horizon import LagCurve
from seriatim.insight.information import LagInformation
from seriatim.insight.network import LayerMeasures
from seriatim.insight.report.blocks import figure, section, table
from seriatim.insight.report.chart import Axis, Line, bars, chart
from seriatim.insight.sample import Sample
from seriatim.percent import percent

MARKS = {"ok": "✓ ok", "warning": "! warning", "fault": "✗ fault", "unknown": "– unknown"}
HEAT_UNITS, HEAT_STEPS = 48, 100
MOST_COLUMNS = 8
"""Input columns that are listed."""


def horizons(evidence: Evidence) -> str:
    """The horizons on one axis, and the curves that they come from."""
    rows = [
        (name, horizon.lag, f"{horizon} steps")
        for name, horizon in (("gradient", evidence.gradient), ("ablation", evidence.ablation), ("data", evidence.need))
        if horizon is not None
    ]
    limit = evidence.limit
    markers = [(float(limit.steps), f"{limit.name} {limit.steps}")] if limit else []
    if not rows:
        return ""
    note = (
        "gradient: the loss at a step has a gradient of 1 % of its largest so far back · ablation: so many steps of "
        "context change the loss · data: so far back the data say something about themselves"
    )
    return section("How far back", figure(bars(rows, markers), note), '<div class="two">', *_curves(evidence), "</div>")


def _curves(evidence: Evidence) -> Iterator[str]:
    network, information = evidence.network, evidence.data.information
    if network is not None:
        line = _lag_line("median and central 80 % of rows", network.gradient)
        yield figure(
            chart(Axis("lag k", True), Axis("‖∂loss/∂x‖", True), [line], title="gradient by lag"),
            "Gradient of the loss at a step with respect to the input k steps before, over its largest.",
        )
        lines = [
            Line(
                way, list(zip(ablation.contexts, ablation.excess, strict=True)),
                [(k, a - 2 * e) for k, a, e in zip(ablation.contexts, ablation.excess, ablation.error, strict=True)],
                [(k, a + 2 * e) for k, a, e in zip(ablation.contexts, ablation.excess, ablation.error, strict=True)],
            )
            for way, ablation in network.ablations.items()
        ]  # fmt: skip
        yield figure(
            chart(Axis("steps of context left", True), Axis("excess loss"), lines, title="ablation"),
            "What the loss gains when earlier context is cut, shuffled or dropped, ± 2 standard errors.",
        )
    if information is not None:
        yield _dependence(evidence.data.measure, information)
    for name, curve in evidence.data.curves.items():
        yield _dependence(name, curve)


def _dependence(name: str, information: LagInformation) -> str:
    lags = [float(lag) for lag in information.lags]
    data = Line("data", list(zip(lags, information.values.tolist(), strict=True)))
    shuffled = Line("bound of shuffled data", [(lag, information.band) for lag in lags])
    return figure(
        chart(Axis("lag k", lags[0] > 0 and len(lags) > 30), Axis(name.split(" ")[-1]), [data, shuffled], title=name),
        f"{name[0].upper()}{name[1:]}, by lag. Pairs alone: what several past steps say together does not show.",
    )


def checks(results: Sequence[Check]) -> str:
    """All checks: what needs attention first; what could not be measured is folded away."""
    answered = [_check(check) for status in ("fault", "warning", "ok") for check in results if check.status == status]
    unknown = [_check(check) for check in results if check.status == "unknown"]
    if unknown:
        count = f"{len(unknown)} check{'s' * (len(unknown) > 1)} could not be measured here"
        answered.append(f"<details><summary>{count}</summary>{''.join(unknown)}</details>")
    return section("Checks", *answered)


def _check(check: Check) -> str:
    advice = f" → <code>{escape(check.advice)}</code> (confidence: {check.confidence})" if check.advice else ""
    evidence = escape(check.evidence) or "not measured here"
    return (
        f'<div class="check"><span class="status {check.status}">{MARKS[check.status]}</span><div>'
        f"<b>{escape(check.name.replace('_', ' '))}</b>: {evidence}{advice}"
        f'<div class="condition">{escape(check.condition)}</div></div></div>'
    )


def layers(evidence: Evidence) -> str:
    """The recurrent layers: gains, exponents, time constants and gates."""
    network = evidence.network
    if network is None or not network.layers:
        return ""
    names = [f"layer {number} ({layer.kind})" for number, layer in enumerate(network.layers, 1)]
    parts = ['<div class="two">']
    gains = [_lag_line(name, layer.gain) for name, layer in zip(names, network.layers, strict=True) if layer.gain]
    if gains:
        parts.append(
            figure(
                chart(Axis("lag k"), Axis("largest singular value", True), gains, title="gain by lag"),
                "How much a change of a layer's state grows or shrinks in k steps: ∂s_T/∂s_{T-k}.",
            )
        )
    for name, layer in zip(names, network.layers, strict=True):
        if layer.spectrum is not None:
            parts.append(_exponents(name, layer))
        if layer.constants is not None:
            parts.append(_time_constants(name, layer.constants))
    parts.append("</div>")
    return section("Inside the layers", *parts, _gate_table(network.layers), _follower_table(evidence.followers))


def _exponents(name: str, layer: LayerMeasures) -> str:
    assert layer.spectrum is not None
    history = layer.spectrum.history.mean(1)
    lines = [
        Line(f"λ{index + 1}", [(float(t + 1), float(value)) for t, value in enumerate(history[:, index])])
        for index in range(min(history.shape[1], 4))
    ]
    return figure(
        chart(Axis("steps"), Axis("nats per step"), lines, title=f"Lyapunov exponents of {name}"),
        f"Lyapunov exponents of {name} as they converge; below 0 changes are forgotten. "
        f"Over the last quarter they moved by {layer.spectrum.drift:.3g} at most.",
    )


def _time_constants(name: str, constants: Tensor) -> str:
    ordered = constants.clamp(min=0.1, max=1e5).sort(descending=True).values
    points = [(float(place + 1), float(value)) for place, value in enumerate(ordered)]
    return figure(
        chart(Axis("units, slowest first"), Axis("steps", True), [Line("", points)], title=f"time constants of {name}"),
        f"Time constants of {name}: after so many steps a unit's gate has kept 1/e of its value.",
    )


def _gate_table(measures: Sequence[LayerMeasures]) -> str:
    rows = [
        (str(number), gate, f"{float(units.derivative.mean()):.2f}", percent(float(units.saturated.mean())),
         f"{layer.weight_norms[gate]:.2f}" if gate in layer.weight_norms else "")
        for number, layer in enumerate(measures, 1)
        for gate, units in (layer.gates or {"h": layer.hidden}).items()
    ]  # fmt: skip
    head = ("layer", "gate", "mean derivative, of its largest", "saturated", "largest singular value of its W_hh")
    return table(head, rows)


def _follower_table(followers: Sequence[Follower]) -> str:
    if not followers:
        return ""
    rows = [
        (
            follower.name,
            str(follower.unit),
            f"{follower.correlation:.2f}",
            f"{follower.chance:.2f}",
            "yes" if follower.is_real else "no",
        )
        for follower in followers
    ]
    head = ("what a unit may follow", "best unit", "correlation", "by chance", "more than chance")
    return f"<h3>Units that follow something</h3>{table(head, rows)}"


def attributions(samples: Sequence[Sample], features: Sequence[tuple[str, float]] = ()) -> str:
    """The attributions of single predictions, and the states of the first layer over one sequence."""
    if not samples:
        return ""
    note = (
        '<p class="soft">Integrated gradients: blue steps made the true outcome likelier, orange ones less likely, '
        "against a neutral input.</p>"
    )
    return section(
        "What mattered", note, *(_sample(sample) for sample in samples), _features(features), _activity(samples[0])
    )


def _features(features: Sequence[tuple[str, float]]) -> str:
    """The shares of the input columns, the largest first."""
    if len(features) < 2:
        return ""
    ordered = sorted(features, key=lambda pair: -pair[1])[:MOST_COLUMNS]
    rows = [(name, percent(share, 1)) for name, share in ordered]
    return f"<h3>What the samples drew on, by input column</h3>{table(('column', 'share of the attributions'), rows)}"


def _sample(sample: Sample) -> str:
    largest = max((abs(weight) for weight in sample.weights), default=0.0) or 1.0
    if sample.steps:
        gap = " " if max(map(len, sample.steps)) > 1 else ""
        spans = gap.join(
            f'<span{" class=outcome" if place == sample.place else ""} style="{_shade(weight / largest)}">'
            f"{escape(_visible(step))}</span>"
            for place, (step, weight) in enumerate(zip(sample.steps, sample.weights, strict=True))
        )
        return f'<p class="text">{spans}{gap}<b class="outcome">{escape(_visible(sample.outcome))}</b></p>'
    count = len(sample.values)
    lines = [
        Line("input", [(float(step - count), value) for step, value in enumerate(sample.values)]),
        Line(
            "attribution, scaled",
            [(float(step - count), weight / largest) for step, weight in enumerate(sample.weights)],
        ),
    ]
    return figure(
        chart(Axis("step before the end"), Axis("input, attribution"), lines, title="attribution"),
        f"Outcome: {sample.outcome}",
    )


def _activity(sample: Sample) -> str:
    if sample.activity is None:
        return ""
    values = sample.activity.detach().double()[-HEAT_STEPS:]
    spread = values.std(0, correction=0)
    units = spread.argsort(descending=True)[:HEAT_UNITS]
    scaled = values[:, units] / values[:, units].abs().max().clamp(min=1e-9)
    steps, count = scaled.shape
    rectangles = "".join(
        f'<rect x="{step}" y="{unit}" width="1" height="1" style="{_fill(float(scaled[step, unit]))}"/>'
        for step in range(steps)
        for unit in range(count)
        if abs(float(scaled[step, unit])) > 0.02
    )
    size = f'viewBox="0 0 {steps} {count}" preserveAspectRatio="none" style="height:16rem"'
    drawing = f'<svg class="heat" {size} role="img" aria-label="units over steps">{rectangles}</svg>'
    caption = f"State h over the first sequence, {steps} steps from left to right: the {count} units that change most."
    return figure(drawing, caption)


def training(evidence: Evidence) -> str:
    """The curves of the training, and the scores of the model and the baselines."""
    rows = evidence.rows
    parts = []
    name = monitor_of(rows)
    if len(rows) > 1:
        lines = [Line("train_loss", [(row["step"], row["train_loss"]) for row in rows if "train_loss" in row])]
        if name:
            lines.append(Line(name, [(row["step"], row[name]) for row in rows if name in row]))
        parts.append(
            figure(chart(Axis("updates"), Axis("loss"), lines, title="loss"), "Loss of training and validation.")
        )
        norm = Line("gradient norm", [(row["step"], row["gradient_norm"]) for row in rows if "gradient_norm" in row])
        clipped = Line("share of clipped updates", [(row["step"], row["clipped"]) for row in rows if "clipped" in row])
        parts.append(
            figure(chart(Axis("updates"), Axis("norm, share"), [norm, clipped], title="norm"), "The gradient.")
        )
    if evidence.residuals is not None:
        parts.append(_residuals(evidence.residuals))
    if evidence.calibration is not None:
        parts.append(_calibration(evidence.calibration))
    scores = _scores(evidence)
    return section("Is it any good?", scores, '<div class="two">', *parts, "</div>") if parts or scores else ""


def _residuals(information: LagInformation) -> str:
    lags = [float(lag) for lag in information.lags]
    lines = [
        Line("residuals", list(zip(lags, information.values.tolist(), strict=True))),
        Line("bound of shuffled residuals", [(lag, information.band) for lag in lags]),
    ]
    return figure(
        chart(Axis("lag"), Axis("correlation"), lines, title="autocorrelation of the residuals"),
        "Autocorrelation of the errors of forecasts of the next step: what is above the bound can be forecast.",
    )


def _calibration(measures: Calibration) -> str:
    lines = [
        Line("model", list(zip(measures.confidence, measures.accuracy, strict=True))),
        Line("calibrated", [(0.0, 0.0), (1.0, 1.0)]),
    ]
    return figure(
        chart(Axis("stated probability"), Axis("share that is right"), lines, title="calibration"),
        f"Calibration: the mean gap is {measures.error:.3f}; a calibrated model has up to {measures.chance:.3f}.",
    )


def _scores(evidence: Evidence) -> str:
    if not evidence.scores:
        return ""
    names = list(evidence.scores)
    models = {evidence.model: evidence.scores, **evidence.baselines}
    sign = -1 if evidence.higher_is_better else 1
    ordered = sorted(models, key=lambda model: sign * models[model].get(evidence.main_score, sign * math.inf))
    rows = [
        (model, *(f"{models[model][name]:.4g}" if name in models[model] else "" for name in names)) for model in ordered
    ]
    return table(("model", *names), rows, strong=ordered.index(evidence.model))


def _lag_line(name: str, curve: LagCurve | None) -> Line:
    assert curve is not None
    lags = [float(lag) for lag in curve.lags]
    median, low, high = (list(zip(lags, part.tolist(), strict=True)) for part in (curve.median, curve.low, curve.high))
    return Line(name, median, low, high)


def _shade(weight: float) -> str:
    colour = "var(--c0)" if weight > 0 else "var(--c1)"
    return f"background:color-mix(in srgb, {colour} {abs(weight):.0%}, transparent)"


def _fill(value: float) -> str:
    return f"fill:{'var(--c0)' if value > 0 else 'var(--c1)'};opacity:{abs(value):.2f}"


def _visible(unit: str) -> str:
    """Show line ends and end marks of a text."""
    return {"\n": "↵\n", "<eos>": "↵\n"}.get(unit, unit)
