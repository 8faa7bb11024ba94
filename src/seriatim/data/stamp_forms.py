"""The forms of time stamps in texts and numbers; each reads the chunks of a column that has this form."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.cell_values import CellError, quoted
from seriatim.data.stamp_formats import (
    COMPACT_DIGITS,
    QUARTER,
    CompactDates,
    DateTimes,
    Numbers,
    Pattern,
    StampFormat,
)
from seriatim.data.zones import MINUTE, FixedOffset, ObservedOffsets, Zone

if TYPE_CHECKING:
    import polars

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
QUICK: Final = {
    "%Y-%m-%d": 10,
    "%Y-%m-%d %H:%M:%S": 19,
    "%Y-%m-%dT%H:%M:%S": 19,
    "%Y-%m-%d %H:%M": 16,
    "%Y-%m-%dT%H:%M": 16,
}
"""Usual patterns, with their length, that Polars reads at once."""
FIRST_YEAR, LAST_YEAR = 1800, 2199
"""Whole numbers are dates only between these years."""


@dataclass(frozen=True)
class TimeStamps:
    """A column of stamps."""

    values: NDArray[Any]
    """``datetime64[us]`` (UTC if the format has a zone), ``int64`` or ``float64`` ``[N]``."""
    format: StampFormat


class Form(ABC):
    """A form that a column of texts may have; it collects the stamps of all chunks."""

    def __init__(self) -> None:
        self.parts: list[NDArray[Any]] = []

    @abstractmethod
    def read(self, cells: polars.Series) -> int | None:
        """Read a chunk; return the first row that does not have this form, or None."""

    @abstractmethod
    def finish(self) -> TimeStamps:
        """Return all stamps."""


@final
class DateForm(Form):
    """Dates with separators, with or without time of day and zone."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self._order = order
        self._offsets: list[NDArray[Any]] = []
        self._format: DateTimes | None = None

    def read(self, cells: polars.Series) -> int | None:
        import polars

        if self._format is None:
            self._format = self._form_of(cells)
        quick = self._read_quickly(cells)
        if quick is not None:
            self.parts.append(quick)
            self._offsets.append(np.full(len(quick), np.nan))
            return None
        groups = cells.str.extract_groups(DATES[self._order]).struct.unnest()
        names = set(groups.columns)

        def number(name: str) -> polars.Expr:
            return polars.col(name).cast(polars.Int32, strict=False) if name in names else polars.lit(0, polars.Int32)

        year = number("year")
        full_year = (
            polars.when(polars.col("year").str.len_chars() == 4)
            .then(year)
            .otherwise(polars.when(year >= 69).then(year + 1900).otherwise(year + 2000))
        )
        day = polars.col("day") if "day" in names else polars.lit("1")
        date = polars.concat_str([full_year.cast(polars.String).str.zfill(4), polars.col("month"), day], separator="-")
        clock = [number(name).fill_null(0) for name in ("hour", "minute", "second")]
        seconds = (clock[0] * 60 + clock[1]) * 60 + clock[2]
        fraction = (
            polars.col("fraction").str.pad_end(6, "0").str.slice(0, 6) if "fraction" in names else polars.lit("0")
        )
        micro = seconds.cast(polars.Int64) * 1_000_000 + fraction.cast(polars.Int64, strict=False).fill_null(0)
        is_valid = (clock[1] < 60) & (clock[2] < 60) & ((clock[0] < 24) | (seconds == 86_400))
        zone = polars.col("zone").str.strip_chars() if "zone" in names else polars.lit(None, polars.String)
        digits = zone.str.replace(":", "").str.slice(1)
        minutes = (
            digits.str.slice(0, 2).cast(polars.Int32, strict=False) * 60
            + digits.str.slice(2, 2).cast(polars.Int32, strict=False).fill_null(0)
        ) * polars.when(zone.str.starts_with("-")).then(-1).otherwise(1)
        offset = polars.when(zone.str.contains(r"^(?:[Zz]|UTC|GMT)$")).then(0).otherwise(minutes)
        table = groups.select(
            stamp=polars.when(is_valid).then(
                date.str.to_date("%Y-%m-%d", strict=False).cast(polars.Datetime("us"))
                + polars.duration(microseconds=micro)
            ),
            offset=offset.cast(polars.Float64),
        )
        stamps = table["stamp"]
        if stamps.has_nulls():
            return int(stamps.is_null().arg_max() or 0)
        self.parts.append(stamps.to_numpy())
        self._offsets.append(table["offset"].to_numpy())
        return self._first_without_zone()

    def finish(self) -> TimeStamps:
        local, offsets = np.concatenate(self.parts), np.concatenate(self._offsets)
        assert self._format is not None
        if np.isnan(offsets).all():
            return TimeStamps(local, self._format)
        minutes = offsets.astype(np.int64)
        instants = local - (minutes * MINUTE).astype("timedelta64[us]")
        zone: Zone = ObservedOffsets(instants, minutes)
        if (minutes == minutes[0]).all():
            zone = FixedOffset(int(minutes[0]))
        values = dict(vars(self._format)) | {"zone": zone}
        return TimeStamps(instants, DateTimes(**values))

    def _read_quickly(self, cells: polars.Series) -> NDArray[Any] | None:
        lengths = cells.str.len_bytes()
        if self._order != "iso" or lengths.min() != lengths.max():
            return None
        for pattern, length in QUICK.items():
            if lengths[0] == length:
                stamps = cells.str.to_datetime(pattern, time_unit="us", strict=False, cache=False)
                if not stamps.has_nulls():
                    return stamps.to_numpy()
        return None

    def _first_without_zone(self) -> int | None:
        """Return the first row of the last chunk with a zone where the first stamp has none, or the reverse."""
        differs = np.isnan(self._offsets[-1]) != np.isnan(self._offsets[0][0])
        return int(differs.argmax()) if differs.any() else None

    def _form_of(self, cells: polars.Series) -> DateTimes:
        lengths = cells.str.len_chars()
        parts = [
            re.match(DATES[self._order], cells[int(index or 0)]) for index in (lengths.arg_max(), lengths.arg_min())
        ]
        longest, shortest = [{} if match is None else match.groupdict() for match in parts]
        clock = sum(bool(longest.get(name)) for name in ("hour", "minute", "second"))
        return DateTimes(
            order=self._order if self._order in ("dmy", "mdy") else "ymd",
            separator=longest.get("separator") or ("" if self._order == "basic" else "-"),
            year_digits=len(longest.get("year") or "0000"),
            is_padded=all(len(shortest.get(name) or "00") == 2 for name in ("month", "day", "hour")),
            has_day=self._order != "month",
            gap=(longest.get("gap") or ("T" if self._order in ("iso", "basic", "month") else " ")).upper(),
            clock=clock,
            colon=longest["colon"] if longest.get("colon") is not None else ("" if self._order == "basic" else ":"),
            digits=len(longest.get("fraction") or ""),
            point=longest.get("point") or ".",
            suffix=longest.get("zone") or "",
        )


@final
class PatternForm(Form):
    """Texts with a pattern of ``strptime``."""

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern
        self._zone: Zone | None = None

    def read(self, cells: polars.Series) -> int | None:

        pattern, tail = self._pattern.replace(".%f", "%.f"), ""
        if "%j" not in pattern and not re.search(r"%-?[dedeF]|%[UWVuaA]|%[DFxcs+]", pattern):
            pattern, tail = f"{pattern} %d", " 01"
            if not re.search(r"%-?[mbBh]", pattern):
                pattern, tail = f"{pattern} %m", f"{tail} 01"
        stamps = (cells + tail).str.to_datetime(pattern, time_unit="us", strict=False, cache=False)
        if cast("polars.Datetime", stamps.dtype).time_zone:
            self._zone, stamps = FixedOffset(0), stamps.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        if stamps.has_nulls():
            return int(stamps.is_null().arg_max() or 0)
        self.parts.append(stamps.to_numpy())
        return None

    def finish(self) -> TimeStamps:
        return TimeStamps(np.concatenate(self.parts), Pattern(self._pattern, self._zone))


@final
class NamedForm(Form):
    """Quarters, weeks and days of the year: ``2020Q1``, ``2018-W01``, ``2018-W01-3``, ``2020-031``."""

    FORMS: Final = (
        (r"^(\d{4})([- ]?)([Qq])([1-4])$", "%Y{1}{2}%q"),
        (r"^([Qq])([1-4])([-/ ]?)(\d{4})$", "{0}%q{2}%Y"),
        (r"^(\d{4})(-?)W(\d{2})$", "%G{1}W%V"),
        (r"^(\d{4})(-?)W(\d{2})-?([1-7])$", "%G{1}W%V{1}%u"),
        (r"^(\d{4})-(\d{3})$", "%Y-%j"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._index: int | None = None
        self._pattern = ""

    def read(self, cells: polars.Series) -> int | None:
        if self._index is None:
            matches = [re.match(pattern, cells[0]) for pattern, _ in self.FORMS]
            self._index = next((index for index, match in enumerate(matches) if match), None)
            if self._index is None:
                return 0
            self._pattern = self.FORMS[self._index][1].format(*cast("re.Match[str]", matches[self._index]).groups())
        groups = [
            cells.str.extract(self.FORMS[self._index][0], number + 1)
            for number in range(re.compile(self.FORMS[self._index][0]).groups)
        ]
        texts = self._as_dates(groups)
        pattern = "%G-%V-%u" if self._index in (2, 3) else "%Y-%j" if self._index == 4 else "%Y-%m-%d"
        stamps = texts.str.to_date(pattern, strict=False)
        if stamps.has_nulls():
            return int(stamps.is_null().arg_max() or 0)
        self.parts.append(stamps.to_numpy().astype("datetime64[us]"))
        return None

    def _as_dates(self, groups: Sequence[polars.Series]) -> polars.Series:
        import polars

        if self._index in (0, 1):
            year, quarter = (groups[0], groups[3]) if self._index == 0 else (groups[3], groups[1])
            month = (quarter.cast(polars.Int32) * 3 - 2).cast(polars.String).str.zfill(2)
            return cast("polars.Series", year + "-" + month + "-01")
        if self._index == 4:
            return cast("polars.Series", groups[0] + "-" + groups[1])
        return cast("polars.Series", groups[0] + "-" + groups[2] + "-" + (groups[3] if self._index == 3 else "1"))

    def finish(self) -> TimeStamps:
        return TimeStamps(np.concatenate(self.parts), Pattern(self._pattern))


@final
class NumberForm(Form):
    """Plain numbers; whole numbers that all are dates, such as YYYYMMDD or YYYYMM, become dates."""

    def __init__(self, is_text: bool) -> None:
        super().__init__()
        self._is_text = is_text

    def read(self, cells: polars.Series) -> int | None:
        import polars

        numbers = cells
        if cells.dtype == polars.String:
            for dtype in (polars.Int64, polars.Float64):
                numbers = cells.cast(dtype, strict=False)
                if not numbers.has_nulls():
                    break
            else:
                return int(numbers.is_null().arg_max() or 0)
        if numbers.dtype.is_integer() and not (numbers.dtype == polars.UInt64 and (numbers > 2**63 - 1).any()):
            self.parts.append(numbers.cast(polars.Int64).to_numpy())
            return None
        floats = numbers.cast(polars.Float64).to_numpy()
        if not np.isfinite(floats).all():
            row = int((~np.isfinite(floats)).argmax())
            raise CellError(row, f"{quoted(cells[row])} is not finite")
        self.parts.append(floats)
        return None

    def finish(self) -> TimeStamps:
        numbers = np.concatenate(self.parts)
        is_whole = numbers.dtype.kind == "i" or bool(
            (numbers == np.rint(numbers)).all() and np.abs(numbers).max() < 2**53
        )
        if is_whole:
            whole = numbers.astype(np.int64)
            for form in (*COMPACT_DIGITS, QUARTER):
                stamps = _compact_dates(whole, form)
                if stamps is not None:
                    return TimeStamps(stamps, CompactDates(form, self._is_text))
        return TimeStamps(numbers, Numbers(self._is_text))


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
