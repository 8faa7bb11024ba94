"""Results on standard output: a table, plain lines, or one JSON object.

On a terminal tables are drawn by Rich; anywhere else they are aligned text without escape codes.
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
"""The option that every verb has."""


@dataclass(frozen=True)
class Table:
    """Rows of text under names; ``marked`` is the position of the row that stands out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    numeric: frozenset[str] = frozenset()
    """Columns that are flush right."""


def drawn(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can be drawn on."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def show(table: Table) -> None:
    """Write ``table`` to standard output."""
    if drawn(sys.stdout):
        _draw(table)
    else:
        _align(table)


def say(text: str = "") -> None:
    """Write one line to standard output."""
    sys.stdout.write(text + "\n")


def write_json(value: Mapping[str, object]) -> None:
    """Write ``value`` to standard output as one JSON object; numbers that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False) + "\n")


def decimals(numbers: Iterable[float | None]) -> int:
    """How many decimals show four to five significant digits of the largest of ``numbers``."""
    largest = max((abs(number) for number in numbers if number is not None and math.isfinite(number)), default=0.0)
    if largest == 0.0:
        return 1
    exponent = math.floor(math.log10(largest))
    return min(10, 3 - exponent) if exponent < -1 else max(0, min(4, 4 - exponent))


def number(value: object, places: int) -> str:
    """A number with ``places`` decimals, or ``-`` where there is none."""
    if isinstance(value, (int, float)) and math.isfinite(value):
        return f"{value:,.{places}f}"
    return "-"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
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
        cells = [
            cell.rjust(width) if name in table.numeric else cell.ljust(width)
            for cell, width, name in zip(line, widths, table.columns, strict=True)
        ]
        say((mark + "  ".join(cells)).rstrip())


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
        marked = index == table.marked
        cells = [Text(cell) for cell in row]  # Text: a name in [brackets] is no markup
        rich.add_row("▶" if marked else "", *cells, style="bold green" if marked else None)
    Console(file=sys.stdout, highlight=False).print(rich)
