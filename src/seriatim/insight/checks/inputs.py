"""Checks of the data: columns and rows that say nothing or too much, and the season."""

from __future__ import annotations

from seriatim.insight.checks.advice import without
from seriatim.insight.checks.check import Check, unknown
from seriatim.insight.evidence import Evidence


def constant_inputs(evidence: Evidence) -> Check:
    """Look for input columns with one value throughout."""
    check = unknown("constant_inputs", "warning if an input column has one value in the whole training part")
    if evidence.data.information is None:
        return check
    names = evidence.data.constant
    if names:
        option = "covariates" if evidence.task == "forecast" else "channels"
        advice = without(f"--{option}", evidence.options.get(option), names)
        return check.failed("warning", float(len(names)), f"constant: {', '.join(names)}", advice, "high")
    return check.ok(0.0, "every input column changes")


def leaks(evidence: Evidence) -> Check:
    """Look for covariates that know the target's future."""
    check = unknown(
        "leak",
        "fault if a covariate has a correlation above 0.95 with a later target and explains what its own past does not",
    )
    if evidence.task != "forecast" or not evidence.options.get("covariates"):
        return check
    leaking = evidence.data.leaks
    if not leaking:
        return check.ok(0.0, "no covariate knows the target's future")
    worst = max(leaking, key=lambda leak: leak.correlation)
    return check.failed(
        "fault",
        worst.correlation,
        f"{worst.name} has a correlation of {worst.correlation:.3f} with the target {worst.lead} steps later; "
        f"the target's own past has {worst.own_correlation:.3f}",
        without("--covariates", evidence.options.get("covariates"), tuple(leak.name for leak in leaking)),
        "high",
    )


def season(evidence: Evidence) -> Check:
    """Compare the season that was given with the period that the data have."""
    check = unknown(
        "season", "warning if the data have a strong period (autocorrelation 0.3 or more) that --season is not"
    )
    if evidence.task != "forecast" or evidence.data.information is None:
        return check
    period, season = evidence.data.period, int(evidence.options.get("season") or 1)
    if period is None:
        return check.ok(None, "no strong period")
    strength = evidence.data.season_strength
    strength_at_period, strength_at_season = strength.get(period, 0.0), strength.get(season, 0.0)
    summary = (
        f"the autocorrelation is {strength_at_period:.2f} at {period} steps, {strength_at_season:.2f} at the season "
        f"of {season}"
    )
    is_near = abs(season - period) <= max(1, 0.05 * period) or season % period == 0
    if season > 1 and (is_near or strength_at_season >= strength_at_period - 0.1):
        return check.ok(float(period), summary)
    return check.failed(
        "warning", float(period), summary, f"--season {period}", "high" if strength_at_period > 0.6 else "medium"
    )


def repeats(evidence: Evidence) -> Check:
    """Look for rows of the test part that the model was trained on."""
    check = unknown(
        "repeated_rows", "warning if more than 1 % of the test rows are training rows too, fault above 10 %"
    )
    rows, total = evidence.data.repeated, evidence.data.test_rows
    if not total:
        return check
    share = rows / total
    summary = f"{rows} of {total} test rows are in the training part"
    if share > 0.01:
        status = "fault" if share > 0.1 else "warning"
        return check.failed("fault" if status == "fault" else "warning", share, summary, "--drop-duplicates", "high")
    return check.ok(share, summary)
