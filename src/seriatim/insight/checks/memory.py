"""Checks of memory: does the model look as far back as the data depend on their past, and what limits it?"""

from __future__ import annotations

from seriatim.insight.checks.check import Check, Status, unknown
from seriatim.insight.checks.training import beats_baselines
from seriatim.insight.evidence import Evidence
from seriatim.insight.horizon import Horizon
from seriatim.percent import percent

ENOUGH = 0.5
"""Of the data's horizon: a model that looks half as far back sees most of what its past says."""
CLOSE = 0.3
"""A gradient, or a state, that reaches this share of what is there to reach does not vanish."""
SLACK = 1.25
"""The data's horizon is an upper bound: a training that reaches nearly as far is long enough."""


def reach(evidence: Evidence) -> Check:
    """Compare how far back the training could reach with how far back the data depend on their past."""
    check = unknown(
        "reach",
        "fault if truncation, lookback or length is less than half of the data's horizon, warning if it is less than "
        "four fifths: no gradient comes from beyond",
    )
    limit, need = evidence.limit, evidence.need
    if limit is None or need is None:
        return check
    if need.lag <= SLACK * limit.steps:
        return check.ok(limit.steps, f"{limit.name} {limit.steps}; the data depend on their past for {need} steps")
    status = "fault" if limit.steps < ENOUGH * need.lag else "warning"
    steps = _wanted(need)
    advice = {
        "--truncation": f"--truncation {limit.steps},{steps}",
        "--lookback": f"--lookback {steps}",
    }.get(limit.flag, "longer sequences")
    return check.failed(
        "fault" if status == "fault" else "warning",
        limit.steps,
        f"{limit.name} is {limit.steps} steps, but the data depend on their past for {need}",
        advice,
        "low" if need.is_censored else "medium",
    )


def vanishing(evidence: Evidence) -> Check:
    """Compare how far back the gradient reaches with how far it should."""
    check = unknown(
        "vanishing_gradient",
        "fault if the gradient and the state fall to 1 % within less than a third of what the data repay and the "
        "training reaches, or a warning where the model beats every baseline",
    )
    gradient, need, limit = evidence.gradient, evidence.need, evidence.limit
    if gradient is None or need is None or evidence.network is None or evidence.network.shortcut:
        return check
    reachable = min(need.lag, limit.steps if limit else need.lag, evidence.network.steps - 1)
    summary = f"the gradient of the loss falls to 1 % after {gradient} steps"
    if need.lag == 0:
        return check.ok(gradient.lag, f"{summary}; the data show no dependence on their past")
    if gradient.is_censored or gradient.lag >= CLOSE * reachable or reachable < 4:
        return check.ok(gradient.lag, f"{summary}; {reachable:.0f} are within reach")
    gains = [layer.gain.horizon() for layer in evidence.network.layers if layer.gain]
    if any(gain.is_censored or gain.lag >= CLOSE * reachable for gain in gains):
        return check.ok(gradient.lag, f"{summary}, but the state could remember for longer")
    used = evidence.ablation
    if used is not None and (used.is_censored or used.lag >= ENOUGH * reachable):
        return check.ok(gradient.lag, f"{summary}, but the model uses {used} steps of context")
    status: Status = "warning" if beats_baselines(evidence) else "fault"
    return check.failed(
        status, gradient.lag, f"{summary}, but the data depend on their past for {need}", _remember(evidence, need)
    )


def use(evidence: Evidence) -> Check:
    """Compare how much context the model uses with what is there to use."""
    check = unknown(
        "context",
        f"warning if the model uses less than {percent(ENOUGH)} of the steps that the data repay and the training "
        "reaches, and does not beat every baseline",
    )
    used, need, limit = evidence.ablation, evidence.need, evidence.limit
    if evidence.network is None or used is None or need is None or evidence.network.shortcut:
        return check
    reachable = min(need.lag, limit.steps if limit else need.lag, evidence.network.steps)
    worst = max(evidence.network.ablations["cut"].excess, default=0.0)
    summary = f"without context the loss rises by {worst:.3g}, and {used} steps of context matter"
    if used.is_censored or used.lag >= ENOUGH * reachable or reachable <= 1 or beats_baselines(evidence):
        return check.ok(used.lag, summary)
    epochs = evidence.options.get("epochs")
    longer = f"--epochs {2 * int(epochs)}" if epochs else f"--patience {2 * int(evidence.options.get('patience') or 3)}"
    return check.failed("warning", used.lag, f"{summary}; {reachable:.0f} are there to use", longer, "low")


def dependence(evidence: Evidence) -> Check:
    """Look for any dependence of the data on their past."""
    check = unknown(
        "order", "warning if no pair of steps depends on each other more than in shuffled data: is the order lost?"
    )
    information, horizon = evidence.data.information, evidence.need
    if information is None or horizon is None or evidence.task not in ("language", "forecast"):
        return check  # one step alone need not say anything of a label, a tag or a text
    need = horizon.lag
    if need > 0:
        return check.ok(need, f"the data depend on values {need:.0f} steps before; only pairs of steps were measured")
    return check.failed(
        "warning",
        0.0,
        f"no lag up to {int(information.lags[-1])} is above shuffled data "
        "(a rule that needs several past steps together would not show here)",
        "check the order of the rows: --time COLUMN, --id COLUMN",
    )


def _wanted(need: Horizon) -> int:
    """A round number of steps above the data's horizon."""
    exact = 1.2 * need.lag
    unit = 5 if exact < 100 else 50
    return int(-(-exact // unit) * unit)


def _remember(evidence: Evidence, need: Horizon) -> str:
    """The flag that lets a cell remember longer."""
    if evidence.model == "rnn":
        return "--model lstm"
    if evidence.model in ("lstm", "gru", "mingru", "minlstm") and not evidence.options.get("chrono"):
        return f"--chrono {_wanted(need)}"
    return "--model lstm" if evidence.model not in ("lstm", "gru") else "--layers 2"
