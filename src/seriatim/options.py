"""Declares options, fills them in and refuses wrong ones.

An option is a field of a frozen dataclass, in the room that it configures. The command line, ``seriatim.train`` and
``config.json`` are all derived from these declarations:

    @dataclass(frozen=True, kw_only=True)
    class LearningOptions:
        lr: float = option(1e-3, "learning rate", above=0.0)
"""

from __future__ import annotations

import csv
import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from seriatim.errors import UsageError, nearest

T = TypeVar("T")
Number = TypeVar("Number", int, float)

FIND = "find"
"""The value of an option that asks for a search of the best number."""
AUTO = "auto"
"""The value of an option whose number follows from the data."""


def option(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    registered: Mapping[str, object] = types.MappingProxyType({}),
    minimum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    parse: typing.Callable[[str], object] | None = None,
    negative: str = "",
    negatable: bool = False,
) -> Any:
    """Declare a dataclass field that is an option.

    ``registered`` holds choices that may be added later. A value may equal ``minimum``, but not ``above`` or ``below``.
    ``parse`` turns a string into the value. ``negative`` names the command-line flag that turns off a true default
    (``--no-header``). A ``negatable`` one has two flags, ``--layer-norm`` and
    ``--no-layer-norm``, because its default depends on the model.
    """
    rules = {
        "help": help, "choices": tuple(choices), "registered": registered,
        "minimum": minimum, "above": above, "below": below,
        "parse": parse, "negative": negative, "negatable": negatable,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=rules)


def fill(declared: type[T], explicit: Mapping[str, object]) -> T:
    """Make options of type ``declared`` from names and values. A value of ``None`` means the default.

    Raises ``UsageError`` for an unknown name (with the nearest known one), a wrong type or a value out of range.
    """
    fields = {field.name: field for field in dataclasses.fields(declared)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(declared)
    values: dict[str, object] = {}
    for name, value in explicit.items():
        if name not in fields:
            raise UsageError(f"no option '{name}'{nearest(name, fields)}")
        if value is not None:
            values[name] = _fit(name, value, hints[name], fields[name].metadata)
    return declared(**values)


def _fit(name: str, value: object, hint: Any, rules: Mapping[str, Any]) -> object:
    """Convert ``value`` to the type ``hint``, and check it against the ``rules`` of the option."""
    if rules["parse"] is not None and isinstance(value, str):
        try:
            value = rules["parse"](value)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    value = _convert(name, value, hint)
    if rules["choices"]:
        for item in value if isinstance(value, tuple) else (value,):
            if item in rules["choices"] and item in rules["registered"]:
                raise UsageError(f"{name}: '{item}' already has a meaning here; register it under another name")
            if item not in rules["choices"] and item not in rules["registered"]:
                choices = (*rules["choices"], *rules["registered"])
                raise UsageError(f"{name}: '{item}' is not one of {', '.join(choices)}{_hint(item, choices)}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            _check_range(name, number, rules)
    return value


def _hint(word: object, choices: Sequence[str]) -> str:
    suggestion = nearest(str(word), choices)
    return suggestion if "did you mean" in suggestion else ""


def _check_range(name: str, number: float, rules: Mapping[str, Any]) -> None:
    minimum, above, below = rules["minimum"], rules["above"], rules["below"]
    if number != number:
        raise UsageError(f"{name}: got nan, wanted a number")
    if math.isinf(number):
        raise UsageError(f"{name}: got {number}, wanted a finite number")
    if minimum is not None and number < minimum:
        raise UsageError(f"{name}: got {number}, wanted at least {minimum}")
    if above is not None and number <= above:
        raise UsageError(f"{name}: got {number}, wanted more than {above}")
    if below is not None and number >= below:
        raise UsageError(f"{name}: got {number}, wanted less than {below}")


def _convert(name: str, value: object, hint: Any) -> object:
    """Convert ``value`` to one of the types of options: bool, int, float, str, tuples of them, or None."""
    if isinstance(hint, types.UnionType):
        allowed = [member for member in typing.get_args(hint) if member is not type(None)]
        if type(value) in allowed:
            return value
        hint = allowed[0]
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        parts = _split_list(value) if isinstance(value, str) else value
        if isinstance(parts, (int, float)):
            parts = [parts]
        if not isinstance(parts, (list, tuple)):
            raise UsageError(f"{name}: got {value!r}, wanted a list separated by commas")
        return tuple(_convert(name, part, item) for part in parts)
    if hint is Any or hint is object:
        return value
    if isinstance(value, Path) and hint is str:
        return str(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and hint in (int, float):
        try:
            return hint(value)
        except ValueError:
            raise UsageError(f"{name}: got '{value}', wanted {_ARTICLE[hint]}") from None
    if hint is str and isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # a column by its number
    if hasattr(value, "item"):  # NumPy scalars
        return _convert(name, value.item(), hint)
    if type(value) is not hint:
        raise UsageError(f"{name}: got {value!r}, wanted {_ARTICLE.get(hint, hint)}")
    return value


_ARTICLE = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}


def duration(text: str) -> float:
    """Read a duration: ``90``, ``90s``, ``10m``, ``1.5h`` → seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|m|h)?\s*", text)
    if match is None:
        raise ValueError(f"got '{text}', wanted a duration such as 90s, 10m or 2h")
    return float(match[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[match[2] or "s"]


def _split_list(text: str) -> list[str]:
    """Split a list at its commas; a part that holds a comma is in double quotes."""
    if '"' not in text:
        return re.split(r"\s*,\s*", text.strip())
    return next(csv.reader([text.strip()], skipinitialspace=True))


def rate(text: str) -> float | str:
    """Read a learning rate: a number, or ``find``, which is returned unchanged."""
    return _number_or_word(text, float, "a number", FIND)


def count(text: str) -> int | str:
    """Read a whole number, or ``auto``, which is returned unchanged."""
    return _number_or_word(text, int, "a whole number", AUTO)


def _number_or_word(text: str, convert: typing.Callable[[str], Number], noun: str, word: str) -> Number | str:
    """Read a number, or ``word``, which is returned unchanged."""
    if text.strip() == word:
        return word
    try:
        return convert(text)
    except ValueError:
        raise ValueError(f"got '{text}', wanted {noun}, or {word}") from None


def size(text: str) -> float:
    """Read a number of bytes: ``1000000``, ``800kB``, ``500MB``, ``1.5GB`` → bytes."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(k|M|G|T)?B?\s*", text)
    if match is None:
        raise ValueError(f"got '{text}', wanted a size such as 800kB, 500MB or 2GB")
    return float(match[1]) * {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[match[2] or ""]
