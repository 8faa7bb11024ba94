"""The verdict: how far back the model looks, how far back the data depend on their past, and what limits it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seriatim.insight.checks.check import Check
from seriatim.insight.evidence import Evidence
from seriatim.insight.horizon import Horizon

MEMORY = ("reach", "vanishing_gradient", "context")
"""Checks that explain a horizon, the most telling first."""


def verdict(evidence: Evidence, checks: Sequence[Check]) -> str:
    """Say in one sentence what was found."""
    sentence = "; ".join(part for part in (_looks(evidence), _need(evidence), _limit(evidence, checks)) if part)
    faults = [check for check in checks if check.status == "fault" and check.name not in MEMORY]
    if faults:
        sentence += f". Also: {', '.join(check.name.replace('_', ' ') for check in faults)}"
    return sentence or "nothing could be measured of this run"


def horizons(evidence: Evidence) -> dict[str, Any]:
    """The horizons in steps, as ``inspect --json`` has them; None where one was not measured."""
    return {
        "gradient": _lag(evidence.gradient),
        "ablation": _lag(evidence.ablation),
        "data": _lag(evidence.need),
        "truncation": evidence.limit.steps if evidence.limit else None,
    }


def _lag(horizon: Horizon | None) -> float | None:
    return None if horizon is None else horizon.lag


def _looks(evidence: Evidence) -> str:
    looks = evidence.looks
    if looks is None or evidence.network is None:
        return ""
    if evidence.network.shortcut:
        return f"{evidence.network.shortcut}, so every step is near to it"
    return f"the model looks {looks} steps back"


def _need(evidence: Evidence) -> str:
    need = evidence.need
    if need is None:
        return ""
    amount = str(need) if need.is_censored else f"about {need}"
    return f"the data repay {amount}" if need.lag else "the data show no dependence on their past"


def _limit(evidence: Evidence, checks: Sequence[Check]) -> str:
    looks, need, limit = evidence.looks, evidence.need, evidence.limit
    by_name = {check.name: check for check in checks if check.status in ("fault", "warning")}
    reach, vanishing, context = (by_name.get(name) for name in MEMORY)
    if reach is not None and limit is not None and (looks is None or need is None or looks.lag < need.lag):
        return f"the {limit.name} ({limit.steps}) is what limits it; try {reach.advice}"
    if vanishing is not None:
        return f"its gradient vanishes after {evidence.gradient} steps; try {vanishing.advice}"
    if context is not None:
        return f"it was not trained long enough to use more; try {context.advice}"
    return "nothing limits it" if looks is not None and need is not None else ""
