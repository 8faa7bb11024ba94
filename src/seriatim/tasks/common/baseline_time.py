"""The time that the fit of a baseline, or of the model that a network starts from, may take."""

from __future__ import annotations

import math
from typing import Final

from seriatim.learning.options import LearningOptions

LONGEST: Final = 60.0
"""Seconds."""
START_SHARE: Final = 1 / 4
"""The share of ``--time-limit`` in which the start of a network must be fitted, before the training itself."""


def start_seconds(options: LearningOptions) -> float:
    """Return the time in which the model that a network starts from must be fitted, roughly: a minute at most."""
    return min(LONGEST, START_SHARE * (options.time_limit or math.inf))


def baseline_seconds(options: LearningOptions) -> float:
    """Return the time in which a baseline must be fitted, roughly: a minute, or ``--time-limit`` if it is shorter."""
    return min(LONGEST, options.time_limit or LONGEST)
