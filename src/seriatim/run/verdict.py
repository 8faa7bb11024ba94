"""The verdict on a result: one plain sentence that says whether the model beats its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def verdict(result: Mapping[str, Any], main_score: str, higher_is_better: bool) -> str:
    """Compare the model of ``result`` with its baselines by ``main_score``, and return the outcome as a sentence."""
    score, model = result["scores"].get(main_score), result["model"]
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
