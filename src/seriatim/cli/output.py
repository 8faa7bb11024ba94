"""Results on standard output: a table, plain lines, or one JSON object.

On a terminal, Rich draws the tables. Elsewhere they are aligned text without escape codes.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TextIO

import typer

from seriatim.controls import escape_controls, escape_json

LARGE, SMALL, MOST_PLACES = 1e9, 1e-4, 7
"""Larger and smaller numbers are written with an exponent. The others have at most this many decimals."""
MARGIN, GAP = 3, 3
"""Characters of a drawn table beside its columns, and between two columns."""
FOLDED = 20
"""Width at which a column of text may be folded."""

Json = Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")]
"""An option of all verbs."""


@dataclass(frozen=True)
class TextTable:
    """Rows of text under column names. ``marked`` is the index of a highlighted row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    numeric: frozenset[str] = frozenset()
    """The columns that are aligned to the right."""


def is_terminal(stream: TextIO) -> bool:
    """Return whether ``stream`` is a terminal with colours and cursor control."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def show(table: TextTable) -> None:
    """Write ``table`` to standard output."""
    table = replace(
        table, columns=[*map(escape_controls, table.columns)], rows=[[*map(escape_controls, row)] for row in table.rows]
    )
    if is_terminal(sys.stdout):
        _draw(table)
    else:
        _align(table)


def say(text: str = "") -> None:
    """Write one line to standard output, with escapes for control characters."""
    sys.stdout.write(escape_controls(text, keep="\t") + "\n")


def write_json(value: Mapping[str, object]) -> None:
    """Write ``value`` to standard output as one JSON object. Numbers that are not finite become null."""
    sys.stdout.write(escape_json(json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)) + "\n")


def decimals(numbers: Iterable[float | None]) -> int:
    """Return the number of decimals that shows four to five significant digits of the largest of ``numbers``."""
    largest = max((abs(number) for number in numbers if number is not None and math.isfinite(number)), default=0.0)
    if largest == 0.0:
        return 1
    exponent = math.floor(math.log10(largest))
    return min(MOST_PLACES, 3 - exponent) if exponent < -1 else max(0, min(4, 4 - exponent))


def number(value: object, places: int) -> str:
    """Format a number with ``places`` decimals; a missing number becomes ``-``.

    Very large and very small numbers have an exponent instead: ``1e+20``. No other number than 0 looks like 0.
    """
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "-"
    if abs(value) >= LARGE or 0 < abs(value) < SMALL:
        return f"{value:.5g}" if abs(value) >= LARGE else f"{value:.4g}"
    text = f"{value:,.{places}f}"
    return text if not value or any(digit in text for digit in "123456789") else f"{value:.2g}"


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


def _align(table: TextTable) -> None:
    lines = [tuple(table.columns), *map(tuple, table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for index, line in enumerate(lines):
        mark = "> " if table.marked is not None and index == table.marked + 1 else "  "
        texts = [
            text.rjust(width) if name in table.numeric else text.ljust(width)
            for text, width, name in zip(line, widths, table.columns, strict=True)
        ]
        say((mark + "  ".join(texts)).rstrip())


def _draw(table: TextTable) -> None:
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(table.columns, *table.rows, strict=True)]
    for block in _blocks(table, widths, console.width):
        rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        rich.add_column("")
        for index in block:
            name = table.columns[index]
            is_numeric = name in table.numeric
            is_rigid = is_numeric or index == 0
            rich.add_column(
                Text(name), justify="right" if is_numeric else "left", overflow="fold", no_wrap=is_rigid,
                min_width=widths[index] if is_rigid else None,
            )  # fmt: skip
        for number, row in enumerate(table.rows):
            is_marked = number == table.marked
            texts = [Text(row[index]) for index in block]  # Text, because [brackets] must not be read as markup
            rich.add_row("▶" if is_marked else "", *texts, style="bold green" if is_marked else None)
        console.print(rich)


def _blocks(table: TextTable, widths: Sequence[int], width: int) -> list[list[int]]:
    """Divide the columns into tables that fit a terminal of ``width`` without breaking a name or a number.

    The columns before the first number begin each of these tables. Other columns of text may be folded.
    """
    count = len(table.columns)
    first_number = next((index for index, name in enumerate(table.columns) if name in table.numeric), count)
    leading = list(range(max(first_number, 1)))
    needed = [size if table.columns[index] in table.numeric else min(size, FOLDED) for index, size in enumerate(widths)]
    start = MARGIN + sum(widths[index] + GAP for index in leading)
    blocks, used = [list(leading)], start
    for index in range(len(leading), count):
        if used + needed[index] + GAP > width and len(blocks[-1]) > len(leading):
            blocks.append(list(leading))
            used = start
        blocks[-1].append(index)
        used += needed[index] + GAP
    return blocks
