"""Observers, which are notified of the progress of a training.

The command line draws the progress, a program may collect it, ``Plain`` prints lines, and ``Silent`` does nothing.
An observer changes nothing in the run, so the results do not depend on it.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from seriatim.controls import escape_controls


class Observer(ABC):
    """An object whose methods are called while a training runs.

    The calls are ``begin``, then ``step`` and ``validated``, then ``end``, once for each model that is trained by
    gradient: first the model itself, then each such baseline, after a call of ``baseline``. ``note`` may come at any
    time, and ``end`` may come twice.
    """

    @abstractmethod
    def begin(self, total_steps: int | None, time_limit: float) -> None:
        """Training starts.

        It ends after ``total_steps`` updates (None: when validation stops improving), or after ``time_limit`` seconds
        (infinity: no limit).
        """

    @abstractmethod
    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        """Update ``step`` (from 1) of ``epoch`` (from 1) is done; ``loss`` is the mean NLL or error per unit."""

    @abstractmethod
    def validated(self, row: Mapping[str, object]) -> None:
        """A validation is done; ``row`` is its row in ``metrics.jsonl``."""

    @abstractmethod
    def baseline(self, name: str) -> None:
        """The baseline ``name`` is fitted and scored next. The following calls are about it."""

    @abstractmethod
    def note(self, text: str) -> None:
        """Show the user one line."""

    @abstractmethod
    def end(self) -> None:
        """Training has ended, with or without an error."""


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
    """An observer that prints one line per validation, baseline and note on standard error."""

    def begin(self, total_steps: int | None, time_limit: float) -> None:
        """Print how long training may take."""
        bound = "until the validation score stops improving" if total_steps is None else f"{total_steps:,} updates"
        _line(", ".join(filter(None, [f"training: {bound}", at_most(time_limit)])))

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        """Print nothing."""

    def validated(self, row: Mapping[str, object]) -> None:
        """Print the numbers of the row, without the signals of single layers."""
        _line("  ".join(f"{name} {_short(value)}" for name, value in row.items() if "/" not in name))

    def baseline(self, name: str) -> None:
        """Print the name."""
        _line(f"baseline: {name}")

    def note(self, text: str) -> None:
        """Print the note."""
        _line(f"note: {text}")

    def end(self) -> None:
        """Print nothing."""


def at_most(seconds: float) -> str:
    """Return a time limit in words; an empty text if there is no limit."""
    if seconds == float("inf"):
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"at most {minutes}m{rest:02d}s" if minutes else f"at most {rest}s"


class ProgressStream:
    """Standard error for progress. Writing never fails, because a closed pipe or terminal must not end a training."""

    def write(self, text: str) -> int:
        """Write ``text``, or discard it if standard error is closed."""
        try:
            return sys.stderr.write(text)
        except (OSError, ValueError, AttributeError):
            _discard_stderr()
            return len(text)

    def flush(self) -> None:
        """Flush standard error, unless it is closed."""
        try:
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            _discard_stderr()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def _discard_stderr() -> None:
    """Send all further output of standard error to the null device, including text that is still buffered."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _line(text: str) -> None:
    stream = ProgressStream()
    stream.write(escape_controls(text, keep="\t") + "\n")
    stream.flush()


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
