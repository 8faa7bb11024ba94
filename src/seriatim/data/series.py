"""Reads one or several numeric time series from tables, arrays and lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.data.arrays import to_float64
from seriatim.data.frames import has_dates
from seriatim.data.tables import Table, open_table
from seriatim.encoding.calendar import future_stamps
from seriatim.encoding.gaps import Findings, fill, inspect
from seriatim.encoding.stamp_formats import ISO, Stamp, StampFormat
from seriatim.errors import DataError, UsageError

Values = NDArray[np.float64]
Rows = NDArray[np.int64]

FEW_REPEATED = 0.02
"""Share of repeated stamps up to which a change of the clocks may be their cause."""
LARGEST = 1e100
"""Squares of larger numbers would overflow in scalers and scores."""


@dataclass(frozen=True)
class Series:
    """One time series; rows are in order of time."""

    id: str
    values: Values
    """``[T, C]``: the targets, then the covariates."""
    observed: NDArray[np.bool_] | None
    """``[T, C]``: true for observed values, false for filled ones; ``None`` if the two are not distinguished."""
    times: NDArray[Any] | None
    """``[T]`` stamps: ``datetime64[us]`` (UTC if the format has a zone), ``int64`` or ``float64``."""
    format: StampFormat = ISO
    """Form in which the stamps were written."""
    has_value: NDArray[np.bool_] | None = None
    """``[T, C]``: false where a value was filled in, which counts in no score; ``None`` if no value was missing."""

    def future_times(self, horizon: int, end: int | None = None) -> list[Stamp]:
        """Return the ``horizon`` stamps after the first ``end``, or after the last one, in the form of the others.

        ``times`` must not be None.
        """
        assert self.times is not None
        return [self.format.write(stamp) for stamp in future_stamps(self.times[:end], horizon, self.format.zone)]

    def ends(self, targets: int) -> list[int]:
        """Return for each of the first ``targets`` channels the number of rows up to its last value."""
        if self.has_value is None:
            return [len(self)] * targets
        reverse = self.has_value[::-1, :targets]
        return [len(self) - (int(channel.argmax()) if channel.any() else 0) for channel in reverse.T]

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
    date_format: str | None = None,
    header: bool = True,
) -> tuple[list[Series], list[str]]:
    """Return the series in order of first appearance, and notes for the user about their time stamps.

    ``source`` is a table (see ``open_table``) with numeric ``target`` and ``covariates``. Its rows are in order, or
    are sorted by ``time`` within each ``id``. Without ``target``, ``source`` is a 1-D array, list or column of numbers
    (one series), a 2-D array (each column is a target) or a list of such arrays (several series).

    ``missing``: ``error`` refuses missing values and only notes gaps between stamps. ``interpolate`` inserts a row for
    each missing stamp of a regular calendar and interpolates linearly; at the ends it uses the nearest value. ``mask``
    does the same and marks the original values in ``observed``. Both leave out the rows at the end without any target:
    the rows of the future.

    Raises ``UsageError`` for columns that do not fit. Raises ``DataError`` with the location of text, an infinity, a
    missing value or a stamp that occurs twice in a series.
    """
    findings = Findings()
    if not target and type(source).__module__.startswith("pandas") and not hasattr(source, "columns"):
        index = getattr(source, "index", None)
        if index is not None and has_dates(index):  # a pandas series with stamps
            source = source.rename("value").rename_axis("time").reset_index()  # type: ignore[attr-defined]
            target, time = ("value",), "time"
    arrays = _arrays(source, bool(target))
    if arrays is not None:
        raw_series = _from_arrays(arrays, missing)
    elif not target:
        raise UsageError("target: name the column or columns to forecast")
    else:
        raw_series = _from_table(source, [*target, *covariates], time, id, missing, date_format, header, findings)
    series = []
    for part in raw_series:
        if missing != "error":
            part = _without_future(part, len(target) or part.values.shape[1] - len(covariates), findings)
        calendar = inspect(part.id, part.times, findings, part.format)
        if missing != "error":
            values, has_value, times = fill(part.id, part.values, part.times, calendar, findings)
            part = Series(part.id, values, has_value if missing == "mask" else None, times, part.format, has_value)
        series.append(part)
    return series, findings.notes(missing, len(series))


def _without_future(series: Series, targets: int, findings: Findings) -> Series:
    """Leave out the rows after the last value of a target: they are what ``predict`` forecasts."""
    has_value: NDArray[np.bool_] = np.asarray(np.isfinite(series.values[:, :targets]).any(axis=1))
    end = len(has_value) - int(has_value[::-1].argmax())
    if end == len(series) or not has_value.any():
        return series
    findings.future.add(len(series) - end, "", series.id)
    times = None if series.times is None else series.times[:end]
    return Series(series.id, series.values[:end], None, times, series.format)


def _from_table(
    source: object,
    columns: Sequence[str],
    time: str | None,
    id: str | None,
    missing: str,
    date_format: str | None,
    header: bool,
    findings: Findings,
) -> Iterator[Series]:
    for index, column in enumerate(columns):
        if column in columns[:index]:
            raise UsageError(f"target and covariates: column '{column}' is named twice")
    table = open_table(source, header=header, columns=[*columns, *(name for name in (time, id) if name)])
    values = table.numbers(columns)
    nan = np.isnan(values) if missing == "error" else np.zeros((0, 0), dtype=np.bool_)
    if nan.any():
        row, index = divmod(int(nan.argmax()), len(columns))
        raise table.fault(row, columns[index], _missing(nan))
    stamps = table.timestamps(time, date_format) if time else None
    too_large = np.abs(values) > LARGEST
    if too_large.any():
        row, index = divmod(int(too_large.argmax()), len(columns))
        raise table.fault(row, columns[index], f"{values[row, index]:g} is too large, wanted at most {LARGEST:g}")
    times, format = (None, ISO) if stamps is None else (stamps.values, stamps.format)
    if id is None:
        yield _in_order(Series("1", values, None, times, format), None, table, time, findings)
        return
    codes, names = table.codes(id)
    rows: Rows = np.arange(len(codes))
    if (codes[1:] < codes[:-1]).any():  # the series are interleaved: group them
        rows = np.argsort(codes, kind="stable")
        values, times = values[rows], None if times is None else times[rows]
    ends = np.cumsum(np.bincount(codes)).tolist()
    for name, start, end in zip(names, [0, *ends[:-1]], ends, strict=True):
        part = Series(name, values[start:end], None, None if times is None else times[start:end], format)
        yield _in_order(part, rows[start:end], table, time, findings)


def _in_order(series: Series, rows: Rows | None, table: Table, time: str | None, findings: Findings) -> Series:
    """Sort the series by time, without a copy if it is sorted; ``rows`` are the indices of its rows in the table."""
    times = series.times
    if times is None:
        return series
    late = times[1:] < times[:-1]
    if late.any():
        row = int(late.argmax()) + 1
        findings.unsorted.add(1, table.line(row if rows is None else int(rows[row])), series.id)
        order = np.argsort(times, kind="stable")
        times, rows = times[order], order if rows is None else rows[order]
        series = Series(series.id, series.values[order], None, times, series.format)
    repeated = times[1:] == times[:-1]
    if repeated.any():
        at = int(repeated.argmax())
        first, second = (at, at + 1) if rows is None else (int(rows[at]), int(rows[at + 1]))
        stamp = f"{series.format.write(times[at])} occurs twice in series '{series.id}', before in {table.line(first)}"
        hint = ""
        if _may_be_local(series, float(repeated.mean())):
            hint = "; if these are local times and the clocks went back, write them with their offset from UTC"
        elif len(table) == len(series):
            hint = "; if the table holds several series, name the column that distinguishes them as id"
        raise table.fault(second, time or "", stamp + hint)
    return series


def _may_be_local(series: Series, repeated: float) -> bool:
    """Whether few stamps without a zone are repeated, a share of ``repeated``, with steps of less than a day."""
    times = series.times
    if times is None or times.dtype.kind != "M" or series.format.zone is not None:
        return False
    return repeated <= FEW_REPEATED and bool(np.median(np.diff(times)) < np.timedelta64(1, "D"))


def _from_arrays(arrays: Sequence[Any], missing: str) -> Iterator[Series]:
    for number, array in enumerate(arrays, 1):
        where = f"data: series {number}"
        try:
            values = to_float64(array)
        except (TypeError, ValueError) as error:
            raise DataError(f"{where}: not numbers: {error}") from None
        values = values[:, None] if values.ndim == 1 else values
        if values.ndim != 2 or not values.size:
            raise DataError(f"{where}: shape {values.shape}, wanted [T] or [T, C] with at least one value")
        wrong = np.isinf(values) if missing != "error" else ~np.isfinite(values)
        if wrong.any():
            row, column = divmod(int(wrong.argmax()), values.shape[1])
            infinite = np.isinf(values[row, column])
            fault = f"'{values[row, column]}' is not finite" if infinite else _missing(np.isnan(values))
            raise DataError(f"{where}: row {row + 1}, column {column + 1}: {fault}")
        if (np.abs(values) > LARGEST).any():
            row, column = divmod(int((np.abs(values) > LARGEST).argmax()), values.shape[1])
            fault = f"{values[row, column]:g} is too large, wanted at most {LARGEST:g}"
            raise DataError(f"{where}: row {row + 1}, column {column + 1}: {fault}")
        yield Series(str(number), values, None, None)


def _missing(nan: NDArray[np.bool_]) -> str:
    return f"missing value, {int(nan.sum())} in all; use --missing interpolate or mask"


def _arrays(source: object, target: bool) -> list[Any] | None:
    """Return the arrays in ``source``, one per series; ``None`` if it is a table."""
    if isinstance(source, np.ndarray):
        return [source] if source.ndim == 1 or (source.ndim == 2 and not target) else None
    if hasattr(source, "to_numpy") and not hasattr(source, "columns"):  # a column of a frame
        return [source.to_numpy()]
    if not isinstance(source, (list, tuple)) or not source:
        return None
    if all(item is None or item is np.ma.masked or isinstance(item, Real) for item in source):
        return [source]
    if all(isinstance(item, np.ndarray) for item in source):
        return list(source)
    if not target and all(isinstance(item, (list, tuple)) for item in source):
        return list(source)
    return None
