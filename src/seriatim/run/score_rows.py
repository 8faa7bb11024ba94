"""The rows of a table of scores: the network or the ensemble, its single networks, the baselines and the blend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seriatim.tasks.options.blending import BLEND, blend_name

Scores = Mapping[str, float]


def network_name(result: Mapping[str, Any]) -> str:
    """Return the name of the network of a result: ``lstm``, or ``lstm × 3`` for an ensemble of three."""
    model: str = result["model"]
    count = len(result.get("ensemble", ()))
    return f"{model} × {count}" if count > 1 else model


def shown_blend(result: Mapping[str, Any]) -> str:
    """Return the name of the blend of a result: ``lstm × 3 + markov``."""
    model, name = result["model"], network_name(result)
    return blend_name(name if part == model else part for part in result["blend"]["parts"])


def score_rows(result: Mapping[str, Any]) -> tuple[dict[str, Scores], str]:
    """Return the scores of each model of a result by its name in tables, and the name of the best model."""
    network = network_name(result)
    rows: dict[str, Scores] = {network: result["scores"]}
    if network != result["model"]:
        rows[f"{result['model']} alone (mean)"] = mean_scores([entry["scores"] for entry in result["ensemble"]])
    rows |= result["baselines"]
    best = result.get("best", result["model"])
    if result.get("blend") is not None:
        rows[shown_blend(result)] = result["blend"]["scores"]
        best = shown_blend(result) if best == BLEND else best
    return rows, network if best == result["model"] else best


def mean_scores(scores: list[Scores]) -> Scores:
    """Return the mean of each score that all of ``scores`` have."""
    names = [name for name in scores[0] if all(name in own for own in scores)]
    return {name: sum(own[name] for own in scores) / len(scores) for name in names}
