"""The errors that Seriatim raises on purpose.

    SeriatimError            the root; ``exit_code`` is the exit code of the command line
    ├── UsageError       2   an option, a name or a column that does not exist or does not fit
    │   ├── ArgumentError    an argument of a layer; also a TypeError and a ValueError, as PyTorch raises for it
    │   └── TensorError      a tensor that does not fit a layer; also a RuntimeError and a ValueError, as PyTorch's
    ├── DataError        1   the user's data are not what the task needs
    ├── RunError         1   a run folder is missing, foreign, damaged or newer than this package
    ├── TrainingError    1   training cannot continue (a loss that is not finite)
    ├── MissingExtra     1   the work needs a library that belongs to an extra
    └── Interrupted    130   Ctrl-C, SIGTERM or SIGHUP; everything worth keeping was saved before

Every message is one line. It names the argument, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from seriatim.controls import escape_controls


class SeriatimError(Exception):
    """Root of every error that Seriatim raises on purpose."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message; control characters that came from the user's data are escaped."""
        return escape_controls(super().__str__(), keep="\t\n")


class UsageError(SeriatimError):
    """An option, a name or a column that does not exist or does not fit."""

    exit_code = 2


class ArgumentError(UsageError, TypeError, ValueError):
    """An argument of a layer or cell that does not fit. Programs for ``torch.nn`` catch TypeError or ValueError."""


class TensorError(UsageError, RuntimeError, ValueError):
    """A tensor that does not fit a layer or cell. Programs for ``torch.nn`` catch RuntimeError or ValueError."""


class DataError(SeriatimError):
    """The user's data are not what the task needs."""


class RunError(SeriatimError):
    """A run folder is missing, foreign, damaged or newer than this package."""


class TrainingError(SeriatimError):
    """Training cannot continue."""


class MissingExtra(SeriatimError):
    """The work needs a library that is not installed."""

    def __init__(self, work: str, extra: str) -> None:
        super().__init__(f"{work} needs an extra: pip install 'seriatim[{extra}]'")


class Interrupted(SeriatimError):
    """Ctrl-C, SIGTERM or SIGHUP asked to stop, and everything worth keeping was saved."""

    exit_code = 130


MOST_NAMES = 40
"""The most choices that an error message lists."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a suffix for an error message: the nearest choice, `` (did you mean 'hidden'?)``, or all of a few."""
    names = list(choices)
    matches = get_close_matches(word, names, n=1, cutoff=0.6)
    if matches:
        return f" (did you mean '{matches[0]}'?)"
    return f" (known: {', '.join(names)})" if 0 < len(names) <= MOST_NAMES else ""
