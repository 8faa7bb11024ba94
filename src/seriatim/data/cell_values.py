"""One column of cells → floats, strings or moments, or the first cell that will not go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.data.rows import MISSING

if TYPE_CHECKING:
    import polars

DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m",
)
"""After ``/`` and ``.`` in the date were made ``-``."""


class CellError(Exception):
    """A cell that will not go: ``row`` in its column (from 0) and what is wrong with it."""

    def __init__(self, row: int, fault: str) -> None:
        super().__init__(row, fault)
        self.row, self.fault = row, fault


def to_floats(cells: polars.Series) -> NDArray[np.float64]:
    """Cells → float64 ``[N]``, missing → NaN. Raises ``CellError`` for text and for infinities."""
    import polars

    numbers = cells
    if cells.dtype == polars.String:
        stripped = cells.str.strip_chars()
        stripped = stripped.set(stripped.is_in(["", *MISSING]), None)
        numbers = stripped.cast(polars.Float64, strict=False)
        bad = numbers.is_null() & stripped.is_not_null()
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise CellError(row, f"{shown(cells[row])} is not a number")
    elif cells.dtype == polars.Null:
        return np.full(len(cells), np.nan)
    elif not (cells.dtype.is_numeric() or cells.dtype == polars.Boolean):
        row = int(cells.is_not_null().arg_max() or 0)
        raise CellError(row, f"{shown(cells[row])} is not a number")
    floats = numbers.cast(polars.Float64).fill_null(float("nan")).to_numpy()
    infinite = np.isinf(floats)
    if infinite.any():
        row = int(infinite.argmax())
        raise CellError(row, f"{shown(cells[row])} is not finite")
    return cast("NDArray[np.float64]", floats)


def to_strings(cells: polars.Series, what: str) -> polars.Series:
    """Cells → strings: whole numbers without a point, nothing missing. Raises ``CellError`` for a missing one.

    ``what`` is what a missing cell lacks: ``text``, ``label``.
    """
    import polars

    if cells.dtype.is_float():
        cells = cells.fill_nan(None)
        present = cells.drop_nulls()
        if ((present == present.round(0)) & (present.abs() < 2**53)).all():
            cells = cells.cast(polars.Int64)
    if cells.dtype == polars.Null or cells.dtype.is_nested() or cells.dtype in (polars.Object, polars.Binary):
        row = int(cells.is_not_null().arg_max() or 0)
        raise CellError(row, f"{shown(cells[row])} is not a {what}" if cells.dtype != polars.Null else f"no {what}")
    strings: polars.Series = cells.cast(polars.String)
    missing = strings.is_null() | (strings == "")
    if missing.any():
        raise CellError(int(missing.arg_max() or 0), f"no {what}")
    return strings


def to_timestamps(cells: polars.Series) -> NDArray[Any]:
    """Cells → ``datetime64[us]``, ``int64`` or ``float64`` ``[N]``.

    Plain numbers stay numbers, years among them, save that whole numbers that are all dates of the form YYYYMMDD
    between 1800 and 2199 are dates. Dates are ISO 8601 or with ``/`` or ``.`` for ``-``, whole or as YYYY-MM; a stamp
    with a time zone is turned into UTC. Raises ``CellError`` for anything else.
    """
    import polars

    if cells.dtype == polars.String:
        cells = cells.str.strip_chars()
        missing = cells.is_null() | cells.is_in(["", *MISSING])
    else:
        missing = cells.is_null() | (cells.is_nan() if cells.dtype.is_float() else False)
    if missing.any():
        raise CellError(int(missing.arg_max() or 0), "no time stamp")
    if cells.dtype.is_temporal() and cells.dtype not in (polars.Time, polars.Duration):
        if isinstance(cells.dtype, polars.Datetime) and cells.dtype.time_zone:
            cells = cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return cast("NDArray[Any]", cells.cast(polars.Datetime("us")).to_numpy())
    if cells.dtype == polars.String:
        if cells.head(1).cast(polars.Float64, strict=False).has_nulls():
            return _dates(cells)
        for kind in (polars.Int64, polars.Float64):
            numbers = cells.cast(kind, strict=False)
            if not numbers.has_nulls():
                return _numbers(numbers)
        row = int(numbers.is_null().arg_max() or 0)
        raise CellError(row, f"{shown(cells[row])} is not a number, as the time stamps above are")
    if cells.dtype.is_numeric():
        return _numbers(cells)
    raise CellError(0, f"{shown(cells[0])} is not a date or a number")


def shown(value: object) -> str:
    """A value for a message, cut when long."""
    text = str(value)
    return f"'{text}'" if len(text) <= 40 else f"'{text[:39]}…'"


def _numbers(cells: polars.Series) -> NDArray[Any]:
    import polars

    if not cells.dtype.is_integer():
        floats = cells.cast(polars.Float64).to_numpy()
        if not np.isfinite(floats).all():
            row = int((~np.isfinite(floats)).argmax())
            raise CellError(row, f"{shown(cells[row])} is not finite")
        return cast("NDArray[Any]", floats)
    if cells.is_between(18000101, 21991231).all():
        dates = cells.cast(polars.String).str.to_datetime("%Y%m%d", time_unit="us", strict=False)
        if not dates.has_nulls():
            return cast("NDArray[Any]", dates.to_numpy())
    return cast("NDArray[Any]", cells.cast(polars.Int64).to_numpy())


def _dates(cells: polars.Series) -> NDArray[Any]:
    """Stamps of one form are read at one go, then what is left form by form."""
    form = next((form for form in DATE_FORMATS if not _read(cells.head(1), form).has_nulls()), DATE_FORMATS[0])
    found = _read(cells, form)
    if found.has_nulls():
        plain = cells.str.replace(r"^(\d{4})[/.](\d{1,2})", "$1-$2").str.replace(r"^(\d{4}-\d{1,2})[/.](\d)", "$1-$2")
        for form in DATE_FORMATS:
            left = found.is_null().arg_true()
            if len(left):
                found = found.scatter(left, _read(plain.gather(left), form))
    if found.has_nulls():
        row = int(found.is_null().arg_max() or 0)
        raise CellError(row, f"{shown(cells[row])} is not a date or a number")
    return found.to_numpy()


def _read(cells: polars.Series, form: str) -> polars.Series:
    """Stamps of the form ``form`` without time zone, others null."""

    stamps = cells.str.to_datetime(form, time_unit="us", strict=False, cache=False)
    zone = cast("polars.Datetime", stamps.dtype).time_zone
    return stamps if zone is None else stamps.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
