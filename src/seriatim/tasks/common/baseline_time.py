"""The time that the fit of a baseline may take."""

from __future__ import annotations

from typing import Final

from seriatim.learning.options import LearningOptions

LONGEST: Final = 60.0
"""Seconds."""


def baseline_seconds(options: LearningOptions) -> float:
    """Return the time in which a baseline must be fitted, roughly: a minute, or ``--time-limit`` if it is shorter."""
    return min(LONGEST, options.time_limit or LONGEST)
