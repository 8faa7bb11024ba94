"""The written forms of dates that texts and numbers are compared with, and the stamps that they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.stamp_formats import (
    COMPACT_DIGITS,
    QUARTER,
    CompactDates,
    DateTimes,
    Numbers,
    StampFormat,
)
from seriatim.encoding.zones import MINUTE, FixedOffset, ObservedOffsets, Zone

_CLOCK: Final = (
    r"(?:(?P<gap>[Tt]|\s+)(?P<hour>\d{1,2})(?:(?P<colon>:?)(?P<minute>\d{2})"
    r"(?::?(?P<second>\d{2})(?:(?P<point>[.,])(?P<fraction>\d{1,9}))?)?)?(?P<zone>\s*(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?))?)"
)
_SEP: Final = r"(?P<separator>[-/.])"
DATES: Final = {
    "iso": rf"^(?P<year>\d{{4}}){_SEP}(?P<month>\d{{1,2}})(?:[-/.](?P<day>\d{{1,2}})){_CLOCK}?$",
    "month": rf"^(?P<year>\d{{4}}){_SEP}(?P<month>\d{{1,2}})$",
    "basic": rf"^(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}}){_CLOCK}$",
    "ymd": rf"^(?P<year>\d{{2}})(?P<separator>[-/])(?P<month>\d{{1,2}})[-/](?P<day>\d{{1,2}}){_CLOCK}?$",
    "dmy": rf"^(?P<day>\d{{1,2}}){_SEP}(?P<month>\d{{1,2}})[-/.](?P<year>\d{{4}}|\d{{2}}){_CLOCK}?$",
    "mdy": rf"^(?P<month>\d{{1,2}})(?P<separator>[-/])(?P<day>\d{{1,2}})[-/](?P<year>\d{{4}}|\d{{2}}){_CLOCK}?$",
}
"""Dates with separators, by the order of year, month and day."""
NAMED: Final = (
    (r"^(\d{4})([- ]?)([Qq])([1-4])$", "%Y{1}{2}%q"),
    (r"^([Qq])([1-4])([-/ ]?)(\d{4})$", "{0}%q{2}%Y"),
    (r"^(\d{4})(-?)W(\d{2})$", "%G{1}W%V"),
    (r"^(\d{4})(-?)W(\d{2})-?([1-7])$", "%G{1}W%V{1}%u"),
    (r"^(\d{4})-(\d{3})$", "%Y-%j"),
)
"""Quarters, weeks and days of the year: a pattern of the text, and of ``strftime`` with the text's own separators."""
FIRST_YEAR, LAST_YEAR = 1800, 2199
"""Whole numbers are dates only between these years."""


@dataclass(frozen=True)
class TimeStamps:
    """A column of stamps."""

    values: NDArray[Any]
    """``datetime64[us]`` (UTC if the format has a zone), ``int64`` or ``float64`` ``[N]``."""
    format: StampFormat


def date_format(order: str, longest: str, shortest: str) -> DateTimes:
    """Return the format of a column of dates of one ``order``, from its longest and its shortest text."""
    parts = [re.match(DATES[order], text) for text in (longest, shortest)]
    long, short = [{} if match is None else match.groupdict() for match in parts]
    clock = sum(bool(long.get(name)) for name in ("hour", "minute", "second"))
    return DateTimes(
        order=order if order in ("dmy", "mdy") else "ymd",
        separator=long.get("separator") or ("" if order == "basic" else "-"),
        year_digits=len(long.get("year") or "0000"),
        is_padded=all(len(short.get(name) or "00") == 2 for name in ("month", "day", "hour")),
        has_day=order != "month",
        gap=(long.get("gap") or ("T" if order in ("iso", "basic", "month") else " ")).upper(),
        clock=clock,
        colon=long["colon"] if long.get("colon") is not None else ("" if order == "basic" else ":"),
        digits=len(long.get("fraction") or ""),
        point=long.get("point") or ".",
        suffix=long.get("zone") or "",
    )


def date_stamps(local: NDArray[Any], offsets: NDArray[np.float64], format: DateTimes) -> TimeStamps:
    """Return the stamps of local times ``[N]`` with their offsets from UTC in minutes, NaN for those without a zone.

    Either all have a zone or none has.
    """
    if np.isnan(offsets).all():
        return TimeStamps(local, format)
    minutes = offsets.astype(np.int64)
    instants = local - (minutes * MINUTE).astype("timedelta64[us]")
    zone: Zone = ObservedOffsets(instants, minutes)
    if (minutes == minutes[0]).all():
        zone = FixedOffset(int(minutes[0]))
    return TimeStamps(instants, replace(format, zone=zone))


def number_stamps(numbers: NDArray[Any], is_text: bool) -> TimeStamps:
    """Return the stamps of plain numbers ``[N]``. Whole numbers that all are dates, such as YYYYMMDD, become dates."""
    is_whole = numbers.dtype.kind == "i" or bool((numbers == np.rint(numbers)).all() and np.abs(numbers).max() < 2**53)
    if is_whole:
        whole = numbers.astype(np.int64)
        for form in (*COMPACT_DIGITS, QUARTER):
            stamps = _compact_dates(whole, form)
            if stamps is not None:
                return TimeStamps(stamps, CompactDates(form, is_text))
    return TimeStamps(numbers, Numbers(is_text))


def _compact_dates(numbers: NDArray[np.int64], form: str) -> NDArray[Any] | None:
    """Read whole numbers as dates of ``form``; None if one of them is no such date."""
    digits = 5 if form == QUARTER else COMPACT_DIGITS[form]
    if (numbers < FIRST_YEAR * 10 ** (digits - 4)).any() or (numbers >= (LAST_YEAR + 1) * 10 ** (digits - 4)).any():
        return None
    parts = [numbers // 10 ** (digits - 4)]
    if form == QUARTER:
        quarter = numbers % 10
        if not ((quarter >= 1) & (quarter <= 4)).all():
            return None
        parts.append(quarter * 3 - 2)
    parts += [numbers // 10**place % 100 for place in range(digits - 6, -1, -2)] if form != QUARTER else []
    defaults = [np.full_like(numbers, 1 if part == 2 else 0) for part in range(len(parts), 6)]
    year, month, day, hour, minute, second = parts + defaults
    if (month < 1).any() or (month > 12).any() or (day < 1).any() or (hour > 23).any():
        return None
    if (minute > 59).any() or (second > 59).any():
        return None
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    length = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    if (day > length).any():
        return None
    seconds = (((day - 1) * 24 + hour) * 60 + minute) * 60 + second
    return cast("NDArray[Any]", months.astype("datetime64[us]") + (seconds * 1_000_000).astype("timedelta64[us]"))
