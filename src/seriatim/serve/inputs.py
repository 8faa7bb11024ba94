"""Limits on the length of what clients send."""

from __future__ import annotations

from typing import Any

from seriatim.serve.refusals import malformed
from seriatim.serve.schemas import LARGEST_STEP, LONGEST_TEXT


def check_step(x: Any) -> None:
    """Raise ``Refusal`` for the input of a step that would hold up the steps of others."""
    if isinstance(x, str) and len(x) > LONGEST_TEXT:
        raise malformed(f"x: {len(x)} characters, wanted at most {LONGEST_TEXT} in one step")
    if isinstance(x, list) and len(x) > LARGEST_STEP:
        raise malformed(f"x: {len(x)} values, wanted at most {LARGEST_STEP} in one step")


def check_length(name: str, value: Any, longest: int) -> None:
    """Raise ``Refusal`` for a text or list that is longer than ``longest``."""
    if isinstance(value, (str, list)) and len(value) > longest:
        raise malformed(f"{name}: length {len(value)}, wanted at most {longest} (see --max-length)")
