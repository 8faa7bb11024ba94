"""Reads a column of time stamps with Python's own library, in the forms that a training reads.

The forms and the calendars are those of ``encoding``. A training reads columns of any length with Polars, which the
runtime does not import.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.calendar import future_stamps
from seriatim.encoding.stamp_formats import ISO, Pattern, Stamp
from seriatim.encoding.stamp_texts import DATES, NAMED, TimeStamps, date_format, date_stamps, number_stamps
from seriatim.encoding.zones import FixedOffset, Zone
from seriatim.errors import DataError

Array = NDArray[Any]

CENTURY: Final = 69
"""Years of two digits from here on are of the last century."""


@final
@dataclass(frozen=True)
class ClockZone(Zone):
    """The time zone of ``datetime`` objects."""

    clock: tzinfo

    def to_local(self, instants: Array) -> Array:
        moments = (moment.replace(tzinfo=timezone.utc).astimezone(self.clock) for moment in instants.tolist())
        return np.array([moment.replace(tzinfo=None) for moment in moments], "datetime64[us]")

    def to_instants(self, local: Array) -> Array:
        moments = (moment.replace(tzinfo=self.clock).astimezone(timezone.utc) for moment in local.tolist())
        return np.array([moment.replace(tzinfo=None) for moment in moments], "datetime64[us]")


def read_stamps(place: str, values: Sequence[Any], *, is_text: bool = False, pattern: str | None = None) -> TimeStamps:
    """Read a column: dates and times, texts of dates in one form, or numbers.

    ``is_text`` says that the source has texts only, as CSV does, so that numbers are written without quotes.
    ``pattern`` (of ``strptime``) is the form of the dates. ``place`` begins the messages. Raises ``DataError`` for a
    value that is no stamp, for values of several forms, and for dates that fit two forms.
    """
    column = [value.strip() if isinstance(value, str) else value for value in values]
    if not column:
        raise DataError(f"{place}: no time stamps")
    for row, value in enumerate(column, 1):
        if value is None or value == "" or value != value:
            raise DataError(f"{place}: row {row} has no time stamp")
    if all(isinstance(value, date) for value in column):
        return _of_dates(place, column)
    if pattern is not None:
        return _of_pattern(place, [str(value) for value in column], pattern)
    numbers = [_number(value) for value in column]
    if numbers[0] is not None:
        return number_stamps(_array(place, column, numbers), isinstance(column[0], str) and not is_text)
    for row, value in enumerate(column, 1):
        if not isinstance(value, str):
            raise _no_form(place, row, value)
    return _of_texts(place, column)


def after(stamps: TimeStamps, horizon: int) -> list[Stamp]:
    """Return the ``horizon`` stamps after the last one, in the form of the others."""
    return [stamps.format.write(stamp) for stamp in future_stamps(stamps.values, horizon, stamps.format.zone)]


def _of_dates(place: str, column: Sequence[Any]) -> TimeStamps:
    """Read objects of ``datetime``, all with a zone or all without."""
    moments = [
        value if isinstance(value, datetime) else datetime(value.year, value.month, value.day) for value in column
    ]
    clock = moments[0].tzinfo
    for row, moment in enumerate(moments, 1):
        if (moment.tzinfo is None) != (clock is None):
            raise DataError(f"{place}: row {row}: '{column[row - 1]}': dates with and without a zone are mixed")
    if clock is None:
        stamps = np.array(moments, "datetime64[us]")
        has_clock = bool((stamps != stamps.astype("datetime64[D]")).any())
        return TimeStamps(stamps, replace(ISO, clock=3 if has_clock else 0, suffix="+00:00"))
    instants = [moment.astimezone(timezone.utc).replace(tzinfo=None) for moment in moments]
    return TimeStamps(
        np.array(instants, "datetime64[us]"), replace(ISO, clock=3, suffix="+00:00", zone=ClockZone(clock))
    )


def _of_pattern(place: str, texts: Sequence[str], pattern: str) -> TimeStamps:
    known = pattern.replace("%-", "%").replace("%.f", ".%f").replace("%e", "%d")
    moments = []
    for row, text in enumerate(texts, 1):
        try:
            moments.append(datetime.strptime(text, known))
        except ValueError:
            raise DataError(f"{place}: row {row}: '{text}' does not have the form {pattern}") from None
    if moments[0].tzinfo is None:
        return TimeStamps(np.array(moments, "datetime64[us]"), Pattern(pattern))
    instants = [moment.astimezone(timezone.utc).replace(tzinfo=None) for moment in moments]
    return TimeStamps(np.array(instants, "datetime64[us]"), Pattern(pattern, FixedOffset(0)))


def _of_texts(place: str, texts: Sequence[str]) -> TimeStamps:
    """Read texts of dates. Forms that fit the first text are tried; all that fit must mean the same dates."""
    orders = [order for order in DATES if re.match(DATES[order], texts[0])]
    results, failures = [], []
    for form in orders or range(len(NAMED)):
        try:
            results.append(_of_order(form, texts) if isinstance(form, str) else _of_name(form, texts))
        except _RowError as error:
            failures.append(error.row)
    if not results:
        row = max(failures)
        raise _no_form(place, row + 1, texts[row])
    first = results[0]
    for other in results[1:]:
        differs = np.flatnonzero(other.values != first.values)
        if len(differs):
            row = int(differs[0])
            dates = " or ".join(str(result.values[row].astype("datetime64[D]")) for result in (first, other))
            raise DataError(f"{place}: row {row + 1}: '{texts[row]}' may be {dates}; write dates as 2020-01-31")
    return first


class _RowError(Exception):
    """A row, from 0, does not have a form."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


def _of_order(order: str, texts: Sequence[str]) -> TimeStamps:
    """Read dates of one order of year, month and day, with or without time of day and zone."""
    pattern = re.compile(DATES[order])
    stamps: list[datetime] = []
    offsets: list[float] = []
    for row, text in enumerate(texts):
        match = pattern.match(text)
        try:
            moment, offset = _moment(match.groupdict() if match else {})
        except (ValueError, KeyError, OverflowError):
            raise _RowError(row) from None
        if offsets and (offset is None) != np.isnan(offsets[0]):
            raise _RowError(row)
        stamps.append(moment)
        offsets.append(np.nan if offset is None else offset)
    form = date_format(order, max(texts, key=len), min(texts, key=len))
    return date_stamps(np.array(stamps, "datetime64[us]"), np.array(offsets), form)


def _moment(parts: dict[str, str | None]) -> tuple[datetime, int | None]:
    """Return the local time of the groups of ``DATES``, and its offset from UTC in minutes, if it has a zone."""
    year = int(parts["year"] or "")
    if len(parts["year"] or "") == 2:
        year += 1900 if year >= CENTURY else 2000
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    is_midnight = (hour, minute, second) == (24, 0, 0)
    fraction = int((parts.get("fraction") or "0").ljust(6, "0")[:6])
    month, day = int(parts["month"] or ""), int(parts.get("day") or 1)
    moment = datetime(year, month, day, 0 if is_midnight else hour, minute, second, fraction)
    moment += timedelta(days=1) if is_midnight else timedelta()
    zone = (parts.get("zone") or "").strip()
    if not zone:
        return moment, None
    if zone.upper() in ("Z", "UTC", "GMT"):
        return moment, 0
    digits = zone[1:].replace(":", "")
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return moment, -minutes if zone[0] == "-" else minutes


def _of_name(index: int, texts: Sequence[str]) -> TimeStamps:
    """Read quarters, weeks or days of the year."""
    form, written = NAMED[index]
    match = re.match(form, texts[0])
    if match is None:
        raise _RowError(0)
    pattern = written.format(*match.groups())
    stamps = []
    for row, text in enumerate(texts):
        try:
            groups = cast("re.Match[str]", re.match(form, text)).groups()
            stamps.append(_named_date(index, groups))
        except (AttributeError, ValueError):
            raise _RowError(row) from None
    return TimeStamps(np.array(stamps, "datetime64[us]"), Pattern(pattern))


def _named_date(index: int, groups: tuple[str, ...]) -> date:
    if index in (0, 1):
        year, quarter = (groups[0], groups[3]) if index == 0 else (groups[3], groups[1])
        return date(int(year), int(quarter) * 3 - 2, 1)
    if index == 4:
        return datetime.strptime("-".join(groups), "%Y-%j").date()
    return date.fromisocalendar(int(groups[0]), int(groups[2]), int(groups[3]) if index == 3 else 1)


def _number(value: Any) -> int | float | None:
    """Return a number, also one that is written as a text; None for anything else."""
    if isinstance(value, (int, float)):
        return value
    try:
        return int(value)
    except (TypeError, ValueError):
        pass
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _array(place: str, column: Sequence[Any], numbers: Sequence[int | float | None]) -> Array:
    for row, number in enumerate(numbers, 1):
        if number is None:
            raise DataError(f"{place}: row {row}: '{column[row - 1]}' is not a number, as the time stamps above are")
        if not np.isfinite(number):
            raise DataError(f"{place}: row {row}: '{column[row - 1]}' is not finite")
    is_whole = all(isinstance(number, int) and -(2**63) <= number < 2**63 for number in numbers)
    return np.array(numbers, np.int64 if is_whole else np.float64)


def _no_form(place: str, row: int, value: object) -> DataError:
    return DataError(f"{place}: row {row}: '{value}' is not a number or a date such as 2026-01-31, as the others are")
