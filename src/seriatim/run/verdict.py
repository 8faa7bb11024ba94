"""The verdict on a result: whether the model beats its baselines, and whether their blend beats them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seriatim.run.score_rows import network_name, shown_blend
from seriatim.tasks.options.blending import BLEND


def verdict(result: Mapping[str, Any], main_score: str, higher_is_better: bool) -> str:
    """Compare the model of ``result`` with its baselines by ``main_score``, and then the blend with all of them."""
    sentence = _network_verdict(result, main_score, higher_is_better)
    blend = result.get("blend")
    if blend is not None:
        sentence += f"; {_blend_verdict(result, main_score, higher_is_better)}"
    best = result.get("best", result["model"])
    if best not in (result["model"], BLEND):
        sentence += f"; on the validation part {best} is best, so predictions come from it (--use network overrides)"
    return sentence


def _blend_verdict(result: Mapping[str, Any], main_score: str, higher_is_better: bool) -> str:
    """Compare the blend with each model alone."""
    name, score = shown_blend(result), result["blend"]["scores"].get(main_score)
    others = {network_name(result): result["scores"], **result["baselines"]}
    alone = {other: scores[main_score] for other, scores in others.items() if main_score in scores}
    if score is None or not alone:
        return f"{name} has no {main_score} to compare"
    best = (max if higher_is_better else min)(alone, key=lambda other: alone[other])
    if score == alone[best]:
        return f"{name} is no better than {best}: {score:.4g}"
    wins = score > alone[best] if higher_is_better else score < alone[best]
    return f"{name} beats every model alone: {score:.4g}" if wins else f"{name} LOSES to {best}: {score:.4g}"


def _network_verdict(result: Mapping[str, Any], main_score: str, higher_is_better: bool) -> str:
    """Compare the model with its baselines."""
    score, model = result["scores"].get(main_score), network_name(result)
    baselines = {name: scores[main_score] for name, scores in result["baselines"].items() if main_score in scores}
    if score is None:
        return f"{model} has no {main_score} to compare"
    if not baselines:
        return f"no baseline to compare {model} with"
    best = (max if higher_is_better else min)(baselines, key=lambda name: baselines[name])
    numbers = f"{main_score} {score:.4g}, {best} {baselines[best]:.4g}"
    if score == baselines[best]:
        return f"{model} is no better than {best}: {numbers}"
    worse = [name for name, other in baselines.items() if (score > other if higher_is_better else score < other)]
    if best in worse:
        return f"{model} beats every baseline: {numbers}"
    beaten = f"it beats {', '.join(worse)}" if worse else "it beats no baseline"
    return f"{model} LOSES to {best}: {numbers}; {beaten}"
