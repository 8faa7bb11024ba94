"""What fitting without epochs comes to: models that are solved, not trained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from seriatim.learning.loop import Outcome


class Timer:
    """Seconds spent in a ``with`` block."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def outcome(self) -> Outcome:
        """Return the outcome of a fit that took this long and no epochs."""
        return Outcome(0, 0, self.seconds, ())


@contextmanager
def closed_form() -> Iterator[Timer]:
    """Time a fit that has no epochs."""
    timer = Timer()
    began = time.monotonic()
    yield timer
    timer.seconds = time.monotonic() - began
