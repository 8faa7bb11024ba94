"""The time in which a naive model must be fitted."""

from __future__ import annotations

import math
import time
from typing import Final, final

SHORTEST: Final = 1e-9
"""Seconds that any measured work is taken to last at least, because a clock may not move between two looks at it."""


@final
class Deadline:
    """A moment after which a fit takes no further data. It begins to count when it is made.

    >>> deadline = Deadline(60)
    >>> deadline.has_passed()
    False
    >>> 0 < deadline.left <= 60
    True
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        """The whole time, in seconds; infinity for no limit."""
        self._start = time.monotonic()

    @property
    def left(self) -> float:
        """The seconds that are left; below 0 when the moment has passed."""
        return self.seconds - (time.monotonic() - self._start)

    def has_passed(self, share: float = 1.0) -> bool:
        """Return whether ``share`` of the time has passed."""
        return not math.isinf(self.seconds) and self.left <= (1 - share) * self.seconds


def shortened(used: int, count: int, noun: str) -> str:
    """Return ``1,200 of 6,000 texts`` if a fit used fewer than ``count``, else an empty text."""
    return f"{used:,} of {count:,} {noun}" if used < count else ""


def joined(*parts: str) -> str:
    """Join the parts that are not empty."""
    return ", ".join(filter(None, parts))
