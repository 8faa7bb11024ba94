"""Compares a run with its exported model, on inputs that are made from the codec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from seriatim.errors import RunError
from seriatim.run.opened import Opened
from seriatim.runtime.model import Model as RuntimeModel
from seriatim.tasks.task import GenerateRequest, Model

TOLERANCE: Final = 1e-5
"""The largest difference between run and runtime, relative to values above 1. Both compute in float32."""
LENGTHS: Final = (1, 2, 7, 40)
GREEDY = {"length": 60, "temperature": 0.0}
SAMPLED = {"length": 60, "temperature": 0.8, "seed": 7}


def compare(run: Opened, network: Model, exported: RuntimeModel) -> float:
    """Return the largest difference between the results of ``network`` and ``exported``.

    Raises ``RunError`` if it is above ``TOLERANCE``, or if they write other texts.
    """
    difference = COMPARISONS[run.task.name](run, network, exported)
    if not difference <= TOLERANCE:
        raise RunError(f"export: the runtime differs from the run by {difference:.1e}, wanted at most {TOLERANCE:g}")
    return difference


def _language(run: Opened, network: Model, exported: Any) -> float:
    generator = np.random.default_rng(0)
    codec = run.codec
    texts = [codec.decode(generator.integers(1, len(codec), length)) for length in LENGTHS] if len(codec) > 1 else []
    texts = [text for text in texts if text.strip() and "\n" not in text]
    ours = [*exported.predict(texts)] if texts else []
    theirs = [*run.task.predict(network, run.options, codec, texts)] if texts else []
    for options in (GREEDY, SAMPLED):
        for prompt in ("", *texts[-1:]):
            request = GenerateRequest(prompt=prompt, **options)  # type: ignore[arg-type]
            text = "".join(run.task.generate(network, run.options, codec, request))
            _same_text(text, "".join(exported.generate(prompt, **options)))
    return difference(theirs, ours)


def _same_text(theirs: str, ours: str) -> None:
    if theirs != ours:
        place = next((i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]), 0)
        raise RunError(f"export: the runtime writes another text than the run, from character {place + 1} on")


COMPARISONS: Mapping[str, Callable[[Opened, Model, Any], float]] = {"language": _language}
"""The comparison of each task."""


def difference(theirs: Any, ours: Any) -> float:
    """Return the largest difference between the numbers of two JSON values, relative to values above 1.

    Raises ``RunError`` if anything else differs.
    """
    if isinstance(theirs, float) and isinstance(ours, float):
        return abs(theirs - ours) / max(1.0, abs(theirs))
    if isinstance(theirs, dict) and isinstance(ours, dict) and list(theirs) == list(ours):
        return max((difference(theirs[key], ours[key]) for key in theirs), default=0.0)
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return max((difference(*pair) for pair in zip(theirs, ours, strict=True)), default=0.0)
    if theirs != ours or type(theirs) is not type(ours):
        raise RunError(f"export: the runtime gives {str(ours)[:60]}, the run {str(theirs)[:60]}")
    return 0.0
