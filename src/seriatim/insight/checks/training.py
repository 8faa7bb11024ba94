"""Checks of the training: the learning rate, over- and underfitting, and the baselines."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping, Sequence

from seriatim.insight.checks.advice import rate
from seriatim.insight.checks.check import Check, unknown
from seriatim.insight.evidence import Evidence
from seriatim.percent import percent

MONITORS = ("valid_nll", "valid_quantile_loss", "valid_loss", "valid_rmse")
ROUGH = 0.4
"""Share of a curve's whole way that goes up: a fair coin gives 0.5, a falling curve 0."""
REMAINING = 0.1
"""Share of the whole gain that came in the last quarter of the updates, above which the training was not over."""
EVEN, SLOW = 0.4, 0.05
"""A loss whose last fall is at least this share of its first one, per update, and that falls by less in all."""
BRISK = 1e-3
"""The norm of an update ÷ the norm of the weights. A rate that makes updates of this size is not too low."""
MISCALIBRATED = 0.1
"""A tenth: probabilities of 0.9 that are right in 0.8 of the cases."""
MOVED = 0.02
"""Weights start at about 1/√H, some 0.1: a change of a fifth at most."""
OVERFIT = 1.1
"""Validation loss at the end over its best."""


def rate_high(evidence: Evidence) -> Check:
    """Look for a training loss that does not settle."""
    check = unknown(
        "learning_rate_high",
        f"fault if the training loss ends 5 % above where it began or {percent(ROUGH)} of its way is upwards",
    )
    losses = [row["train_loss"] for row in evidence.rows if "train_loss" in row]
    if len(losses) < 4:
        return check
    ups = sum(max(b - a, 0.0) for a, b in itertools.pairwise(losses))
    way = sum(abs(b - a) for a, b in itertools.pairwise(losses))
    roughness = ups / way if way else 0.0
    gain = (losses[0] - min(losses)) / max(abs(losses[0]), 1e-12)
    summary = (
        f"the training loss went from {losses[0]:.4g} to {losses[-1]:.4g}; {percent(roughness)} of its way was upwards"
    )
    if losses[-1] > losses[0] + 0.05 * abs(losses[0]) or (
        roughness >= ROUGH and gain > 0.01 and losses[-1] - min(losses) > 0.1 * gain * abs(losses[0])
    ):
        return check.failed("fault", roughness, summary, rate(evidence, 0.1))
    return check.ok(roughness, summary)


def rate_low(evidence: Evidence) -> Check:
    """Look for weights that can hardly have moved, or a training loss that falls evenly and hardly at all."""
    check = unknown(
        "learning_rate_low",
        f"fault if Adam can have moved a weight by {MOVED} at most (its steps are as large as --lr), or if the "
        f"training loss falls as fast in the end as at first, but by less than {percent(SLOW)}, and at first updates "
        f"change most layers by less than {percent(BRISK, 1)} of their size",
    )
    rows = [row for row in evidence.rows if "train_loss" in row]
    now, updates = evidence.options.get("lr"), rows[-1]["step"] if rows else 0
    if updates and isinstance(now, float) and str(evidence.options.get("optimizer")).startswith("adam"):
        moved = now * updates
        if moved < MOVED:
            summary = f"in {updates:.0f} updates a weight can have moved by {moved:.2g}"
            return check.failed(
                "fault", moved, summary, rate(evidence, 1000.0 if moved < MOVED / 10 else 100.0), "high"
            )
    if len(rows) < 3:
        return check
    falls = [(a["train_loss"] - b["train_loss"]) / max(b["step"] - a["step"], 1) for a, b in itertools.pairwise(rows)]
    first, last = rows[0]["train_loss"], rows[-1]["train_loss"]
    gain = (first - last) / max(abs(first), 1e-12)
    summary = f"the training loss fell from {first:.4g} to {last:.4g}"
    updates_at_first = [value for name, value in rows[0].items() if name.startswith("update_ratio/")]
    is_brisk = bool(updates_at_first) and statistics.median(updates_at_first) >= BRISK
    if not is_brisk and min(falls) > 0 and falls[-1] >= EVEN * falls[0] and gain < SLOW:
        return check.failed("fault", gain, f"{summary}, as fast in the end as at first", rate(evidence, 100.0))
    return check.ok(gain, summary)


def still_learning(evidence: Evidence) -> Check:
    """Look for a validation score that was still improving at the end."""
    check = unknown(
        "still_learning",
        f"warning if more than {percent(REMAINING)} of the gain came in the last quarter of the updates",
    )
    name = monitor_of(evidence.rows)
    rows = [row for row in evidence.rows if name and name in row]
    if name is None or len(rows) < 4:
        return check
    scores = [row[name] for row in rows]
    last, quarter = rows[-1]["step"], 0.75 * rows[-1]["step"]
    early = min(score for score, row in zip(scores, rows, strict=True) if row["step"] <= max(quarter, rows[0]["step"]))
    whole, late = scores[0] - min(scores), early - min(scores)
    share = late / whole if whole > 0 else 0.0
    summary = f"{percent(share)} of the gain of {name} came in the last quarter of {last:.0f} updates"
    if share > REMAINING and scores[-1] <= min(scores) * (1 + 1e-9):
        return check.failed("warning", share, summary, f"--epochs {2 * max(round(rows[-1]['epoch']), 1)}")
    return check.ok(share, summary)


def overfitting(evidence: Evidence) -> Check:
    """Look for a validation loss that rises while the training loss falls."""
    check = unknown(
        "overfitting", f"warning if the validation loss ends {percent(OVERFIT - 1)} above its best; its best is used"
    )
    name = monitor_of(evidence.rows)
    rows = [row for row in evidence.rows if name and name in row and "train_loss" in row]
    if name is None or len(rows) < 2:
        return check
    scores = [row[name] for row in rows]
    best = min(range(len(scores)), key=scores.__getitem__)
    size = max(abs(scores[best]), 0.05)
    ratio = 1 + (scores[-1] - scores[best]) / size
    falls = rows[-1]["train_loss"] < rows[best]["train_loss"]
    summary = f"{name} was {scores[best]:.4g} at its best and {scores[-1]:.4g} at the end"
    if ratio > OVERFIT and falls:
        dropout = 0.2 + float(evidence.options.get("dropout") or 0.0)
        return check.failed("warning", ratio, summary, f"--dropout {min(dropout, 0.5):g}")
    return check.ok(ratio, summary)


def baselines(evidence: Evidence) -> Check:
    """Compare the model with the best baseline."""
    check = unknown("baselines", "warning if a baseline has a better score on the test part")
    name = evidence.main_score
    others = {model: scores[name] for model, scores in evidence.baselines.items() if name in scores}
    score = evidence.scores.get(name)
    if score is None or not others:
        return check
    sign = 1 if evidence.higher_is_better else -1
    best = max(others, key=lambda model: sign * others[model])
    summary = f"{name} is {score:.4g}, {best} has {others[best]:.4g}"
    if sign * score < sign * others[best]:
        return check.failed("warning", score, summary, f"--model {best}", "high")
    return check.ok(score, summary)


def beats_baselines(evidence: Evidence) -> bool:
    """Whether the model is better than every baseline; False where there is none to compare with."""
    return baselines(evidence).status == "ok"


def relation(evidence: Evidence) -> Check:
    """Look for labels that the inputs do not explain."""
    check = unknown(
        "labels",
        "warning if a classifier is no better than the commonest class, beyond chance: does each label belong to its "
        "row?",
    )
    accuracy, majority = evidence.scores.get("accuracy"), evidence.baselines.get("majority", {}).get("accuracy")
    if evidence.task != "classify" or accuracy is None or majority is None:
        return check
    summary = f"accuracy is {accuracy:.3f}, the commonest class alone has {majority:.3f}"
    chance = 2 * (majority * (1 - majority) / evidence.test_size) ** 0.5 if evidence.test_size else 0.02
    if accuracy <= majority + chance:
        return check.failed("warning", accuracy - majority, summary, "check the column --label, and its order")
    return check.ok(accuracy - majority, summary)


def confidence(evidence: Evidence) -> Check:
    """Compare the probabilities of a classifier with how often it is right."""
    check = unknown(
        "calibration",
        f"warning if the calibration error is above {MISCALIBRATED} and above that of a calibrated model by chance",
    )
    measures = evidence.calibration
    if measures is None:
        return check
    direction = "more" if measures.is_overconfident else "less"
    summary = f"the calibration error is {measures.error:.3f}; {measures.chance:.3f} would be chance"
    if measures.error > max(MISCALIBRATED, 1.5 * measures.chance):
        advice = (
            "--dropout 0.5"
            if measures.is_overconfident
            else f"--epochs {2 * int(evidence.options.get('epochs') or 10)}"
        )
        return check.failed("warning", measures.error, f"{summary}; it is {direction} sure than right", advice, "low")
    return check.ok(measures.error, summary)


def coverage(evidence: Evidence) -> Check:
    """Compare the share of values within a forecast's band with its nominal 80 %."""
    check = unknown(
        "coverage",
        "warning if the band from 10 % to 90 % holds less than 60 % or more than 95 % of the values, beyond chance",
    )
    share = evidence.scores.get("coverage")
    if evidence.task != "forecast" or share is None:
        return check
    summary = f"the band of 80 % holds {percent(share)} of the values"
    chance = 3 * (0.16 / evidence.test_size) ** 0.5 if evidence.test_size else 1.0
    if not 0.6 <= share <= 0.95 and abs(share - 0.8) > chance:
        return check.failed("warning", share, summary, "--origins 10", "low")
    return check.ok(share, summary)


def monitor_of(rows: Sequence[Mapping[str, float]]) -> str | None:
    """Return the name of the validation loss in rows of metrics."""
    names = set(rows[0]) if rows else set()
    return next((name for name in MONITORS if name in names), None)
