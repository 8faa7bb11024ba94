"""Who watches a training run: told what happens, never asked.

The loop calls an observer; the command line draws it, a program may collect it, ``Plain`` writes it down and
``Silent`` does nothing. An observer changes nothing in the run, so equal runs stay equal whoever watches.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping


class Observer(ABC):
    """Something that is told how training goes.

    ``begin``, then ``step`` and ``validated``, then ``end``, once for each model that is trained by
    gradient: the model asked for, then each such baseline after its ``baseline``. ``note`` may come at
    any time, and ``end`` also twice.
    """

    @abstractmethod
    def begin(self, total_steps: int | None, time_limit: float) -> None:
        """Training starts.

        It ends after ``total_steps`` updates (None: when it stops improving) or ``time_limit`` seconds
        (infinity: no limit).
        """

    @abstractmethod
    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        """Update ``step`` (from 1) of ``epoch`` (from 1) is done; ``loss`` is the mean NLL or error per unit."""

    @abstractmethod
    def validated(self, row: Mapping[str, object]) -> None:
        """A validation is done; ``row`` is the row that ``metrics.jsonl`` gets."""

    @abstractmethod
    def baseline(self, name: str) -> None:
        """The baseline ``name`` is about to be fitted and scored: what follows is about it."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Something that the user should know, in one line."""

    @abstractmethod
    def end(self) -> None:
        """Training is over, well or not."""


class Silent(Observer):
    """An observer that does nothing."""

    def begin(self, total_steps: int | None, time_limit: float) -> None:
        """Do nothing."""

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        """Do nothing."""

    def validated(self, row: Mapping[str, object]) -> None:
        """Do nothing."""

    def baseline(self, name: str) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""


class Plain(Observer):
    """One line per validation, baseline and note on standard error; nothing that moves."""

    def begin(self, total_steps: int | None, time_limit: float) -> None:
        """Say how long it may take."""
        bound = "until the validation score stops improving" if total_steps is None else f"{total_steps:,} updates"
        _line(", ".join(filter(None, [f"training: {bound}", at_most(time_limit)])))

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        """Say nothing: the next validation tells."""

    def validated(self, row: Mapping[str, object]) -> None:
        """One line of the row's numbers."""
        _line("  ".join(f"{name} {_short(value)}" for name, value in row.items()))

    def baseline(self, name: str) -> None:
        """One line."""
        _line(f"baseline: {name}")

    def note(self, text: str) -> None:
        """One line."""
        _line(f"note: {text}")

    def end(self) -> None:
        """Say nothing: the result follows."""


def at_most(seconds: float) -> str:
    """Say a time limit in words; nothing when there is none."""
    if seconds == float("inf"):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"at most {minutes}m{rest:02d}s" if minutes else f"at most {rest}s"


def _line(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
