"""Progress of a training on standard error: a live bar on a terminal, elsewhere one line for each event."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, cast

from seriatim.cli.output import is_terminal
from seriatim.controls import escape_controls
from seriatim.learning.observer import Observer, Plain, ProgressStream, Silent, at_most

if TYPE_CHECKING:
    from rich.progress import Progress

REDRAW = 0.1
"""Seconds between two updates of the bar, so that drawing takes no noticeable time."""

_HIGHER_IS_BETTER = ("accuracy", "f1", "bleu", "chrf", "exact_match")


def make_observer(quiet: bool) -> Observer:
    """Return the observer for standard error."""
    if quiet:
        return Silent()
    has_terminal = sys.stderr is not None and is_terminal(sys.stderr)
    return LiveObserver() if has_terminal else Plain()


class BestScore:
    """The best validation score so far, as text."""

    def __init__(self) -> None:
        self.name = ""
        self.value = float("nan")

    def see(self, row: Mapping[str, object]) -> None:
        """Read a row of ``metrics.jsonl``. The score is its first ``valid_…``."""
        name = next((key for key in row if key.startswith("valid_")), "")
        value = row.get(name)
        if not isinstance(value, (int, float)):
            return
        higher_is_better = any(word in name for word in _HIGHER_IS_BETTER)
        if self.value != self.value or (value > self.value if higher_is_better else value < self.value):
            self.name, self.value = name.removeprefix("valid_"), value

    def __str__(self) -> str:
        return f"best {self.name} {self.value:.4g}" if self.name else ""


class LiveObserver(Observer):
    """A bar that shows the share of updates or of time, whichever is larger, with loss, speed and best score."""

    def __init__(self) -> None:
        self._progress = _columns()
        self._task = self._progress.add_task("", total=None, status="")
        self._title = "training"
        self._best = BestScore()
        self._total_steps: int | None = None
        self._time_limit = float("inf")
        self._start = 0.0
        self._last_update = 0.0

    def begin(self, total_steps: int | None, time_limit: float) -> None:
        """Draw the bar."""
        self._total_steps, self._time_limit, self._start = total_steps, time_limit, time.monotonic()
        self._best, self._last_update = BestScore(), 0.0
        self._show(0.0, at_most(time_limit))

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        """Move the bar, at most every ``REDRAW`` seconds."""
        now = time.monotonic()
        if now - self._last_update < REDRAW:
            return
        self._last_update = now
        share = (now - self._start) / self._time_limit
        if self._total_steps:
            share = max(share, step / self._total_steps)
        status = [f"epoch {epoch}", f"loss {loss:.3f}", f"{_rate(units_per_second)}/s", str(self._best)]
        self._progress.update(self._task, completed=min(share, 1.0), status="  ".join(filter(None, status)))

    def validated(self, row: Mapping[str, object]) -> None:
        """Update the best score, which the next step shows."""
        self._best.see(row)
        self._last_update = 0.0

    def baseline(self, name: str) -> None:
        """Show the name of a baseline during its training, with a bar without a total."""
        self._title = f"baseline {name}"
        self._show(None, "")

    def note(self, text: str) -> None:
        """Write one line above the bar."""
        self._progress.console.print(f"note: {escape_controls(text)}", markup=False, highlight=False)

    def end(self) -> None:
        """Remove the bar."""
        self._progress.stop()

    def _show(self, completed: float | None, status: str) -> None:
        """Restart the bar at ``completed`` of 1, or without a total if it is None."""
        self._progress.reset(self._task, description=self._title, completed=int(completed or 0), status=status)
        # Rich's reset reads a total of None as "unchanged", so it is set here.
        self._progress.tasks[0].total = None if completed is None else 1.0
        self._progress.start()


def _columns() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(file=cast(IO[str], ProgressStream())),
        refresh_per_second=5,
        transient=True,
    )


def _rate(per_second: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if per_second >= size:
            return f"{per_second / size:.3g}{letter}"
    return f"{per_second:.3g}"
