"""Every way a command can end badly, told in one line on standard error, with its exit code."""

from __future__ import annotations

import sys
from typing import Any

from typer import TyperException

from seriatim.cli.extras import extra_of
from seriatim.errors import Interrupted, MissingExtra, SeriatimError, nearest

INTERRUPTED = 130


def report(error: Exception, debug: bool) -> int:
    """Tell ``error`` in one line on standard error; returns the exit code.

    ``debug`` shows the traceback first.
    """
    line, code = _tell(error)
    if debug:
        import traceback

        traceback.print_exception(error)
    elif code == 1 and not _expected(error):
        line += "; run it again with --debug to see where"
    label = "" if isinstance(error, Interrupted) else "error: "
    sys.stderr.write(f"seriatim: {label}{line}\n")
    return code


def _expected(error: Exception) -> bool:
    return isinstance(error, (SeriatimError, OSError, MemoryError)) or _missing_extra(error) is not None


def _tell(error: Exception) -> tuple[str, int]:
    if isinstance(error, TyperException):
        return _misused(error), error.exit_code
    told = _missing_extra(error) or error
    if isinstance(told, SeriatimError):
        return _one_line(str(told)), told.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}", 1
    if isinstance(error, MemoryError):
        return "out of memory; a smaller --batch-size or --hidden needs less", 1
    return _one_line(f"{type(error).__name__}: {error}"), 1


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _missing_extra(error: Exception) -> MissingExtra | None:
    """Read "no module named 'torch'" as the extra that would bring it."""
    extra = extra_of(error.name) if isinstance(error, ModuleNotFoundError) and error.name else None
    return MissingExtra("this command", extra) if extra else None


def _misused(error: TyperException) -> str:
    """Say what was wrong with the words typed, and the nearest right one or where to read on."""
    # Typer's own subclasses are private: what they carry is asked for by name.
    context: Any = getattr(error, "ctx", None)
    mistyped = getattr(error, "option_name", None)
    if mistyped is not None and context is not None:
        known = [name for parameter in context.command.get_params(context) for name in parameter.opts]
        known += [name for parameter in context.command.get_params(context) for name in parameter.secondary_opts]
        if mistyped not in known:
            suggestion = nearest(mistyped, [name for name in known if name.startswith("--")])
            if "did you mean" in suggestion:
                return f"no option '{mistyped}'{suggestion}"
            return f"no option '{mistyped}' (see '{context.command_path} --help')"
    message = _one_line(error.format_message()).rstrip(".")
    message = message[:1].lower() + message[1:]
    return f"{message} (see '{context.command_path} --help')" if context is not None else message
