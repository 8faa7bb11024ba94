"""Numeric series in time, one or many, from tables, arrays and lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.data.calendar import format_stamp
from seriatim.data.gaps import Findings, filled, inspect
from seriatim.data.tables import Table, open_table
from seriatim.errors import DataError, UsageError

Values = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """One series in order of time."""

    id: str
    values: Values
    """``[T, C]``: the targets, then the covariates."""
    observed: NDArray[np.bool_] | None
    """``[T, C]``, what was really there; ``None`` when that is not told apart."""
    times: NDArray[Any] | None
    """``[T]`` stamps: ``datetime64[us]``, ``int64`` or ``float64``."""

    def __len__(self) -> int:
        return len(self.values)


def read_series(
    source: object,
    *,
    target: Sequence[str] = (),
    covariates: Sequence[str] = (),
    time: str | None = None,
    id: str | None = None,
    missing: str = "error",
    header: bool = True,
) -> tuple[list[Series], list[str]]:
    """Series in order of first appearance, and notes for the user about their time stamps.

    ``source`` is a table (see ``open_table``) with numeric ``target`` and ``covariates``; rows are in order, or
    sorted by ``time`` within each ``id``. Without ``target`` it is a 1-D array, list or column of numbers (one
    series), a 2-D array (every column a target) or a list of such arrays (several series).

    ``missing``: ``error`` refuses missing values and only notes gaps between stamps; ``interpolate`` inserts a row
    for each stamp that a regular calendar lacks and fills in by straight lines, at the ends by the nearest value;
    ``mask`` does so too and tells in ``observed`` what was there.

    Raises ``UsageError`` for columns that do not fit, ``DataError`` with the place of text, an infinity, a missing
    value or a stamp that stands twice in a series.
    """
    findings = Findings()
    arrays = _arrays(source, bool(target))
    if arrays is not None:
        found = _from_arrays(arrays, missing)
    elif not target:
        raise UsageError("target: name the column or columns to forecast")
    else:
        found = _from_table(source, [*target, *covariates], time, id, missing, header, findings)
    series = []
    for one in found:
        calendar = inspect(one.id, one.times, findings)
        if missing != "error":
            values, observed, times = filled(one.id, one.values, one.times, calendar, findings)
            one = Series(one.id, values, observed if missing == "mask" else None, times)
        series.append(one)
    return series, findings.notes(missing, len(series))


def _from_table(
    source: object,
    columns: Sequence[str],
    time: str | None,
    id: str | None,
    missing: str,
    header: bool,
    findings: Findings,
) -> Iterator[Series]:
    for place, column in enumerate(columns):
        if column in columns[:place]:
            raise UsageError(f"target and covariates: column '{column}' is named twice")
    table = open_table(source, header=header, columns=[*columns, *(name for name in (time, id) if name)])
    values = table.numbers(columns)
    gone = np.isnan(values) if missing == "error" else np.zeros((0, 0), dtype=np.bool_)
    if gone.any():
        row, place = divmod(int(gone.argmax()), len(columns))
        raise table.fault(row, columns[place], _missing(gone))
    times = table.timestamps(time) if time else None
    if id is None:
        yield _in_order(Series("1", values, None, times), None, table, time, findings)
        return
    codes, names = table.codes(id)
    rows: Rows = np.arange(len(codes))
    if (codes[1:] < codes[:-1]).any():  # the series are mixed: bring each together
        rows = np.argsort(codes, kind="stable")
        values, times = values[rows], None if times is None else times[rows]
    ends = np.cumsum(np.bincount(codes)).tolist()
    for name, start, end in zip(names, [0, *ends[:-1]], ends, strict=True):
        one = Series(name, values[start:end], None, None if times is None else times[start:end])
        yield _in_order(one, rows[start:end], table, time, findings)


def _in_order(one: Series, rows: Rows | None, table: Table, time: str | None, findings: Findings) -> Series:
    """The series sorted by time, without a copy when it is so already; ``rows``: where each row stands in the table."""
    times = one.times
    if times is None:
        return one
    late = times[1:] < times[:-1]
    if late.any():
        row = int(late.argmax()) + 1
        findings.unsorted.add(1, table.line(row if rows is None else int(rows[row])), one.id)
        order = np.argsort(times, kind="stable")
        times, rows = times[order], order if rows is None else rows[order]
        one = Series(one.id, one.values[order], None, times)
    twice = times[1:] == times[:-1]
    if twice.any():
        at = int(twice.argmax())
        first, second = (at, at + 1) if rows is None else (int(rows[at]), int(rows[at + 1]))
        stamp = f"{format_stamp(times[at])} stands twice in series '{one.id}', before in {table.line(first)}"
        hint = "; if the table holds several series, name the column that tells them apart as id"
        raise table.fault(second, time or "", stamp + (hint if len(table) == len(one) else ""))
    return one


def _from_arrays(arrays: Sequence[Any], missing: str) -> Iterator[Series]:
    for number, array in enumerate(arrays, 1):
        where = f"data: series {number}"
        try:
            values = np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: not numbers: {error}") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not values.size:
            raise DataError(f"{where}: shape {values.shape}, wanted [T] or [T, C] with at least one value")
        wrong = np.isinf(values) if missing != "error" else ~np.isfinite(values)
        if wrong.any():
            row, place = divmod(int(wrong.argmax()), values.shape[1])
            infinite = np.isinf(values[row, place])
            fault = f"'{values[row, place]}' is not finite" if infinite else _missing(np.isnan(values))
            raise DataError(f"{where}: row {row + 1}, column {place + 1}: {fault}")
        yield Series(str(number), values, None, None)


def _missing(gone: NDArray[np.bool_]) -> str:
    return f"missing value, {int(gone.sum())} in all; use --missing interpolate or mask"


def _arrays(source: object, target: bool) -> list[Any] | None:
    """The arrays that ``source`` is, one per series; ``None`` when it is a table."""
    if isinstance(source, np.ndarray):
        return [source] if source.ndim == 1 or (source.ndim == 2 and not target) else None
    if hasattr(source, "to_numpy") and not hasattr(source, "columns"):  # a column of a frame
        return [source.to_numpy()]
    if not isinstance(source, (list, tuple)) or not source:
        return None
    if all(one is None or isinstance(one, Real) for one in source):
        return [source]
    if all(isinstance(one, np.ndarray) for one in source):
        return list(source)
    if not target and all(isinstance(one, (list, tuple)) for one in source):
        return list(source)
    return None
