"""The clock of a training: seconds so far, units per second, and the number of updates that a time limit allows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final


@final
class Clock:
    """Counts the seconds of a training and the speed since its last validation."""

    def __init__(self) -> None:
        self._start = 0.0
        self._units, self._seconds = 0, 0.0
        self.data_seconds = 0.0
        """Seconds that were spent on making batches."""
        self._updates, self._update_seconds = 0, 0.0
        self._validations, self._validation_seconds = 0, 0.0

    def start(self, elapsed: float) -> None:
        """Start, with ``elapsed`` seconds of earlier processes."""
        self._start = time.monotonic() - elapsed

    def seconds(self) -> float:
        """Return the seconds of training so far."""
        return time.monotonic() - self._start

    @contextmanager
    def making_data(self) -> Iterator[None]:
        """Count the time of a ``with`` block as spent on making batches."""
        start = time.perf_counter()
        yield
        self.data_seconds += time.perf_counter() - start

    @contextmanager
    def validating(self) -> Iterator[None]:
        """Count a ``with`` block as one validation."""
        start = time.perf_counter()
        yield
        self._validations += 1
        self._validation_seconds += time.perf_counter() - start

    def count(self, units: int, seconds: float) -> None:
        """Count an update of ``units`` that took ``seconds``."""
        self._units += units
        self._seconds += seconds
        self._updates += 1
        self._update_seconds += seconds

    def rate(self) -> float:
        """Return the units per second since the last ``reset_rate``."""
        return self._units / self._seconds if self._seconds else 0.0

    def reset_rate(self) -> None:
        """Measure the speed anew from now on."""
        self._units, self._seconds = 0, 0.0

    def updates_that_fit(self, seconds: float, interval: int) -> int:
        """Return the number of updates that fit into ``seconds``, by the speed of this process so far; at least 1.

        There is a validation every ``interval`` updates and one at the end.
        """
        update = (self._update_seconds + self.data_seconds) / self._updates
        validation = self._validation_seconds / self._validations
        return max(int((seconds - validation) / (update + validation / interval)), 1)
