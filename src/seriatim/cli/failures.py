"""The report of a failure: one line on standard error, and an exit code."""

from __future__ import annotations

from typing import Any

from typer import TyperException

from seriatim.cli.extras import extra_of
from seriatim.controls import escape_controls
from seriatim.errors import Interrupted, MissingExtra, SeriatimError, nearest
from seriatim.learning.observer import ProgressStream

INTERRUPTED = 130
OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "Unable to allocate")
"""Phrases of PyTorch's errors when memory runs out."""


def report(error: Exception, debug: bool) -> int:
    """Write ``error`` in one line to standard error, and return the exit code.

    With ``debug``, the traceback comes first.
    """
    line, code = _describe(error)
    if debug:
        import traceback

        traceback.print_exception(error)
    elif code == 1 and not _is_expected(error):
        line += "; run it again with --debug to see where"
    label = "" if isinstance(error, Interrupted) else "error: "
    stream = ProgressStream()
    stream.write(f"seriatim: {label}{escape_controls(line)}\n")
    stream.flush()
    return code


def _is_expected(error: Exception) -> bool:
    return isinstance(error, (SeriatimError, OSError)) or _is_out_of_memory(error) or _missing_extra(error) is not None


def _describe(error: Exception) -> tuple[str, int]:
    """Return the line for ``error``, and the exit code."""
    if isinstance(error, TyperException):
        return _usage_line(error), error.exit_code
    known = _missing_extra(error) or error
    if isinstance(known, SeriatimError):
        return _one_line(str(known)), known.exit_code
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}", 1
    if _is_out_of_memory(error):
        return "out of memory; a smaller --batch-size or --hidden needs less", 1
    return _one_line(f"{type(error).__name__}: {error}"), 1


def _is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out, for Python, NumPy or PyTorch, which raises a ``RuntimeError``."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(words in text for words in OUT_OF_MEMORY)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _missing_extra(error: Exception) -> MissingExtra | None:
    """Turn "no module named 'torch'" into an error that names the extra with this module."""
    extra = extra_of(error.name) if isinstance(error, ModuleNotFoundError) and error.name else None
    return MissingExtra("this command", extra) if extra else None


def _usage_line(error: TyperException) -> str:
    """Describe wrong usage, with the nearest known option, or with the command that shows the help."""
    # Typer's own subclasses are private, so their attributes are read by name.
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
