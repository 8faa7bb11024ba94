"""Results on standard output: a table, plain lines, or one JSON object.

On a terminal, Rich draws the tables. Elsewhere they are aligned text without escape codes.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TextIO

import typer

Json = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
"""An option of all verbs."""


@dataclass(frozen=True)
class Table:
    """Rows of text under column names. ``marked`` is the index of a highlighted row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    numeric: frozenset[str] = frozenset()
    """The columns that are aligned to the right."""


def is_terminal(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal with colours and cursor control."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def show(table: Table) -> None:
    """Write ``table`` to standard output."""
    if is_terminal(sys.stdout):
        _draw(table)
    else:
        _align(table)


def say(text: str = "") -> None:
    """Write one line to standard output."""
    sys.stdout.write(text + "\n")


def write_json(value: Mapping[str, object]) -> None:
    """Write ``value`` to standard output as one JSON object. Numbers that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False) + "\n")


def decimals(numbers: Iterable[float | None]) -> int:
    """Return the number of decimals that shows four to five significant digits of the largest of ``numbers``."""
    largest = max((abs(number) for number in numbers if number is not None and math.isfinite(number)), default=0.0)
    if largest == 0.0:
        return 1
    exponent = math.floor(math.log10(largest))
    return min(10, 3 - exponent) if exponent < -1 else max(0, min(4, 4 - exponent))


def number(value: object, places: int) -> str:
    """Format a number with ``places`` decimals; a missing number becomes ``-``."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return f"{value:,.{places}f}"
    return "-"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def _align(table: Table) -> None:
    lines = [tuple(table.columns), *map(tuple, table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for index, line in enumerate(lines):
        mark = "> " if table.marked is not None and index == table.marked + 1 else "  "
        texts = [
            text.rjust(width) if name in table.numeric else text.ljust(width)
            for text, width, name in zip(line, widths, table.columns, strict=True)
        ]
        say((mark + "  ".join(texts)).rstrip())


def _draw(table: Table) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    rich.add_column("")
    for name in table.columns:
        rich.add_column(name, justify="right" if name in table.numeric else "left", overflow="fold")
    for index, row in enumerate(table.rows):
        is_marked = index == table.marked
        texts = [Text(text) for text in row]  # Text, because a name in [brackets] must not be read as markup
        rich.add_row("▶" if is_marked else "", *texts, style="bold green" if is_marked else None)
    Console(file=sys.stdout, highlight=False).print(rich)
