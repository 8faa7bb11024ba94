"""Converts the cells of a column to floats or strings, and reports the first bad cell."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.data.rows import MISSING

if TYPE_CHECKING:
    import polars


class CellError(Exception):
    """Raised for a bad cell, with its ``row`` in the column (from 0) and the reason."""

    def __init__(self, row: int, fault: str) -> None:
        super().__init__(row, fault)
        self.row, self.fault = row, fault


def to_floats(cells: polars.Series) -> NDArray[np.float64]:
    """Convert cells to float64 ``[N]``; missing ones become NaN. Raises ``CellError`` for text and for infinities."""
    import polars

    numbers = cells
    if cells.dtype == polars.String:
        stripped = cells.str.strip_chars()
        stripped = stripped.set(stripped.is_in(["", *MISSING]), None)
        numbers = stripped.cast(polars.Float64, strict=False)
        bad = numbers.is_null() & stripped.is_not_null()
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise CellError(row, f"{quoted(cells[row])} is not a number")
    elif cells.dtype == polars.Null:
        return np.full(len(cells), np.nan)
    elif not (cells.dtype.is_numeric() or cells.dtype == polars.Boolean):
        row = int(cells.is_not_null().arg_max() or 0)
        raise CellError(row, f"{quoted(cells[row])} is not a number")
    floats = numbers.cast(polars.Float64).fill_null(float("nan")).to_numpy()
    infinite = np.isinf(floats)
    if infinite.any():
        row = int(infinite.argmax())
        raise CellError(row, f"{quoted(cells[row])} is not finite")
    return cast("NDArray[np.float64]", floats)


def to_strings(cells: polars.Series, noun: str) -> polars.Series:
    """Convert cells to strings; whole numbers have no point. Raises ``CellError`` for a missing cell.

    ``noun`` names the missing thing in the message: ``text``, ``label``.
    """
    import polars

    if cells.dtype.is_float():
        cells = cells.fill_nan(None)
        present = cells.drop_nulls()
        if ((present == present.round(0)) & (present.abs() < 2**53)).all():
            cells = cells.cast(polars.Int64)
    if cells.dtype == polars.Null or cells.dtype.is_nested() or cells.dtype in (polars.Object, polars.Binary):
        row = int(cells.is_not_null().arg_max() or 0)
        raise CellError(row, f"{quoted(cells[row])} is not a {noun}" if cells.dtype != polars.Null else f"no {noun}")
    strings: polars.Series = cells.cast(polars.String)
    missing = strings.is_null() | (strings == "")
    if missing.any():
        raise CellError(int(missing.arg_max() or 0), f"no {noun}")
    return strings


def to_names(cells: polars.Series, noun: str) -> polars.Series:
    """Convert cells to names of classes, series or groups; numbers and dates as pandas writes them to CSV.

    ``encoding.labels.plain_name`` makes names equal from every source: a text file may hold 7.0 for 7. It is applied
    later, so that the hash of a file's content stays as it was. Raises ``CellError`` for a missing cell, with ``noun``.
    """
    import polars

    if cells.dtype.is_float():
        cells = cells.fill_nan(None)
        number = np.float32 if cells.dtype == polars.Float32 else float
        texts = [
            None if value is None else str(int(value)) if value % 1 == 0 and abs(value) < 1e16 else str(number(value))
            for value in cells
        ]
        cells = polars.Series(cells.name, texts, dtype=polars.String)
    elif isinstance(cells.dtype, polars.Datetime):
        is_date = bool((cells.dt.time() == time(0)).all())
        cells = cells.dt.strftime("%Y-%m-%d" if is_date else "%Y-%m-%d %H:%M:%S%.f")
    return to_strings(cells, noun)


def quoted(value: object) -> str:
    """Return a value for a message, shortened if it is long."""
    text = str(value)
    return f"'{text}'" if len(text) <= 40 else f"'{text[:39]}…'"
