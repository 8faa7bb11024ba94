"""The forms of time stamps in texts and numbers; each reads the chunks of a column that has this form."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.cell_values import CellError, quoted
from seriatim.encoding.stamp_formats import DateTimes, Pattern
from seriatim.encoding.stamp_texts import DATES, NAMED, TimeStamps, date_format, date_stamps, number_stamps
from seriatim.encoding.zones import FixedOffset, Zone

if TYPE_CHECKING:
    import polars

QUICK: Final = {
    "%Y-%m-%d": 10,
    "%Y-%m-%d %H:%M:%S": 19,
    "%Y-%m-%dT%H:%M:%S": 19,
    "%Y-%m-%d %H:%M": 16,
    "%Y-%m-%dT%H:%M": 16,
}
"""Usual patterns, with their length, that Polars reads at once."""


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
        return date_stamps(local, offsets, self._format)

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
        longest, shortest = (cells[int(index or 0)] for index in (lengths.arg_max(), lengths.arg_min()))
        return date_format(self._order, longest, shortest)


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

    def __init__(self) -> None:
        super().__init__()
        self._index: int | None = None
        self._pattern = ""

    def read(self, cells: polars.Series) -> int | None:
        if self._index is None:
            matches = [re.match(pattern, cells[0]) for pattern, _ in NAMED]
            self._index = next((index for index, match in enumerate(matches) if match), None)
            if self._index is None:
                return 0
            self._pattern = NAMED[self._index][1].format(*cast("re.Match[str]", matches[self._index]).groups())
        groups = [
            cells.str.extract(NAMED[self._index][0], number + 1)
            for number in range(re.compile(NAMED[self._index][0]).groups)
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
        return number_stamps(np.concatenate(self.parts), self._is_text)
