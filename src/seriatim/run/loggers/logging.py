"""``logging``: one training under a logger, from its first row to its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seriatim.learning.observer import Observer
from seriatim.learning.plan import OnValidation
from seriatim.run.loggers.protocol import Logger
from seriatim.tasks.options import TrainOptions


class Logged:
    """A training under a logger, or under none. A logger that fails later does not end the training; a note says so."""

    def __init__(self, logger: Logger | None, observer: Observer) -> None:
        self._logger, self._observer = logger, observer
        self.result: Mapping[str, Any] | None = None
        """The result, which the training sets at its end."""

    def calling(self, on_validation: OnValidation | None) -> OnValidation | None:
        """Return a function that hands each row to the logger, and then to ``on_validation``."""
        if self._logger is None:
            return on_validation

        def log_row(row: dict[str, float]) -> bool:
            if row.get("network", 1) == 1:  # the rows of further networks have the same steps
                self._call(lambda logger: logger.row(row))
            return on_validation is not None and bool(on_validation(row))

        return log_row

    def end(self) -> None:
        """End the logger with the result, if there is one."""
        self._call(lambda logger: logger.end(self.result))

    def _call(self, method: Callable[[Logger], None]) -> None:
        if self._logger is None:
            return
        try:
            method(self._logger)
        except Exception as error:  # each library has its own errors, and training goes on without it
            name, fault = type(self._logger).__name__, f"{type(error).__name__}: {error}"
            self._observer.note(f"{name}: {fault}; nothing more is logged there, but the rows are in metrics.jsonl")
            self._logger = None


@contextmanager
def logging(
    logger: Logger | None, folder: Path, task: str, options: TrainOptions, observer: Observer
) -> Iterator[Logged]:
    """Begin ``logger`` before a training in ``folder``, and end it with the training, also after an error."""
    logged = Logged(logger, observer)
    if logger is not None:
        logger.begin(folder, {"task": task, **settings_of(options)})
    try:
        yield logged
    finally:
        logged.end()


def settings_of(options: TrainOptions) -> dict[str, object]:
    """Return the options that describe a run: all but those of its folder and its progress."""
    left_out = ("out", "resume", "quiet", "log")
    return {name: value for name, value in dataclasses.asdict(options).items() if name not in left_out}
