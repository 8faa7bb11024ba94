"""The observer of a search, which shows the notes about the data once instead of in every trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from seriatim.run import Observer


@final
class SearchObserver(Observer):
    """Passes the calls of each training on, and its notes while ``notes_are_new``."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.notes_are_new = True

    def announce(self, text: str) -> None:
        """Show a line about the search."""
        self._observer.note(text)

    def begin(self, total_steps: int | None, time_limit: float) -> None:
        self._observer.begin(total_steps, time_limit)

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        self._observer.step(step, epoch, loss, units_per_second)

    def validated(self, row: Mapping[str, object]) -> None:
        self._observer.validated(row)

    def baseline(self, name: str) -> None:
        self._observer.baseline(name)

    def note(self, text: str) -> None:
        if self.notes_are_new:
            self._observer.note(text)

    def end(self) -> None:
        self._observer.end()
