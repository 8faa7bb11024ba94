"""Writes time stamps in the form in which their column was written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

import numpy as np

from seriatim.encoding.zones import Zone

Stamp = str | int | float

COMPACT_DIGITS: Final = {"%Y%m": 6, "%Y%m%d": 8, "%Y%m%d%H": 10, "%Y%m%d%H%M": 12, "%Y%m%d%H%M%S": 14}
"""Whole numbers that are dates, with their number of digits."""
QUARTER: Final = "quarter"
"""Form of whole numbers such as 20204: the year and the quarter."""


class StampFormat(ABC):
    """The written form of a column of stamps."""

    zone: Zone | None = None

    @abstractmethod
    def write(self, stamp: Any) -> Stamp:
        """Write one stamp: a text, or a number if the column holds numbers."""


@final
@dataclass(frozen=True)
class Numbers(StampFormat):
    """Plain numbers."""

    is_text: bool = False
    """Whether the source holds texts, such as ``"17"`` in JSON."""

    def write(self, stamp: Any) -> Stamp:
        number = stamp.item() if isinstance(stamp, np.generic) else stamp
        return str(number) if self.is_text else number


@final
@dataclass(frozen=True)
class CompactDates(StampFormat):
    """Whole numbers that are dates: YYYYMMDD, YYYYMM, YYYYQ and others."""

    form: str
    """A key of ``COMPACT_DIGITS``, or ``QUARTER``."""
    is_text: bool = False

    def write(self, stamp: Any) -> Stamp:
        moment = _moment(stamp)
        digits = f"{moment.year}{(moment.month + 2) // 3}" if self.form == QUARTER else moment.strftime(self.form)
        return digits if self.is_text else int(digits)


@final
@dataclass(frozen=True)
class Pattern(StampFormat):
    """A pattern of ``strftime`` such as ``%d/%m/%Y``; ``%q`` is the quarter."""

    pattern: str
    zone: Zone | None = None

    def write(self, stamp: Any) -> Stamp:
        moment = _moment(_local(stamp, self.zone))
        return moment.strftime(self.pattern.replace("%q", str((moment.month + 2) // 3)))


@final
@dataclass(frozen=True)
class DateTimes(StampFormat):
    """Dates with or without a time of day, in ISO 8601 or in another order."""

    order: str = "ymd"
    """``ymd``, ``dmy`` or ``mdy``."""
    separator: str = "-"
    """Between year, month and day."""
    year_digits: int = 4
    is_padded: bool = True
    """Whether numbers below 10 begin with 0."""
    has_day: bool = True
    gap: str = "T"
    """Between date and time."""
    clock: int = 0
    """Parts of the time of day: 0 for a plain date, 1 for hours, 2 for minutes, 3 for seconds."""
    colon: str = ":"
    digits: int = 0
    """Digits of a second's fraction."""
    point: str = "."
    suffix: str = ""
    """Form of the zone, as in the first stamp: ``Z``, `` UTC``, ``+02``, ``+0200`` or ``+02:00``."""
    zone: Zone | None = None

    def write(self, stamp: Any) -> Stamp:
        local = _local(stamp, self.zone)
        return self._date(local) + self._time(local) + (self._zone(stamp) if self._clock(local) else "")

    def _date(self, local: Any) -> str:
        moment, width = _moment(local), 2 if self.is_padded else 1
        year = f"{moment.year:04d}" if self.year_digits == 4 else f"{moment.year % 100:02d}"
        parts = {"y": year, "m": f"{moment.month:0{width}d}", "d": f"{moment.day:0{width}d}"}
        needs_day = self.has_day or moment.day != 1
        return self.separator.join(parts[part] for part in self.order if part != "d" or needs_day)

    def _clock(self, local: Any) -> int:
        """Parts of the time of day to write: more than the column has if the stamp needs them."""
        moment = _moment(local)
        if moment.microsecond or moment.second:
            return 3
        needed = 0 if not (moment.hour or moment.minute) else 1 if self.clock == 1 and not moment.minute else 2
        return 3 if not self.clock and needed else max(self.clock, needed)

    def _time(self, local: Any) -> str:
        moment, clock = _moment(local), self._clock(local)
        if not clock:
            return ""
        width = 2 if self.is_padded else 1
        hour = f"{moment.hour:0{width}d}"
        text = self.colon.join([hour, f"{moment.minute:02d}", f"{moment.second:02d}"][:clock])
        fraction = f"{moment.microsecond:06d}"
        digits = max(self.digits, len(fraction.rstrip("0")))
        return f"{self.gap}{text}" + (f"{self.point}{fraction.ljust(digits, '0')[:digits]}" if digits else "")

    def _zone(self, stamp: Any) -> str:
        if self.zone is None:
            return ""
        minutes = self.zone.offset(stamp)
        form = self.suffix.lstrip()
        blank = self.suffix[: len(self.suffix) - len(form)]
        if form.upper() in ("Z", "UTC", "GMT") and not minutes:
            return self.suffix
        sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
        if len(form) == 3 and form[0] in "+-" and not rest:
            return f"{blank}{sign}{hours:02d}"
        return f"{blank}{sign}{hours:02d}{'' if len(form) == 5 else ':'}{rest:02d}"


ISO: Final = DateTimes()
"""Dates as ``2020-01-31``, and with their time where they have one."""


def _local(stamp: Any, zone: Zone | None) -> Any:
    if zone is None:
        return stamp
    return zone.to_local(np.asarray([stamp], dtype="datetime64[us]"))[0]


def _moment(stamp: Any) -> datetime:
    moment: datetime = np.datetime64(stamp, "us").item()
    return moment
