"""Finds the regular step of time stamps and continues it.

A stamp is ``datetime64[us]``, ``int64`` or ``float64``. A calendar maps stamps to whole numbers, their positions, and
back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray

Stamps = NDArray[Any]
Positions = NDArray[np.int64]

DAY: Final = 86_400_000_000
"""Microseconds."""
UNITS: Final = (("week", 7 * DAY), ("day", DAY), ("hour", DAY // 24), ("minute", DAY // 1440), ("second", 1_000_000))


class Calendar(ABC):
    """A regular grid of stamps."""

    @abstractmethod
    def positions(self, stamps: Stamps) -> Positions | None:
        """Return the positions of sorted ``stamps`` on the grid, the first at 0; ``None`` if one is off the grid."""

    @abstractmethod
    def stamps(self, first: Any, positions: Positions) -> Stamps:
        """Return the stamps at ``positions``; ``first`` is at 0."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the step for messages: ``1 hour``."""


@final
@dataclass(frozen=True)
class Constant(Calendar):
    """A constant difference: microseconds for dates, plain numbers otherwise."""

    step: int | float
    dates: bool

    def positions(self, stamps: Stamps) -> Positions | None:
        numbers = _plain(stamps)
        if isinstance(self.step, int):
            since = numbers - numbers[0]
            return None if (since % self.step).any() else cast("Positions", since // self.step)
        positions = np.rint((numbers - numbers[0]) / self.step)
        off = np.abs(numbers - numbers[0] - positions * self.step) > 1e-3 * self.step
        return None if off.any() else positions.astype(np.int64)

    def stamps(self, first: Any, positions: Positions) -> Stamps:
        if self.dates:
            return cast("Stamps", first + (positions * self.step).astype("timedelta64[us]"))
        return np.asarray(first + positions * self.step)

    def __str__(self) -> str:
        if not self.dates:
            return f"{self.step:g}"
        for name, length in UNITS:
            if self.step % length == 0:
                return _plural(int(self.step // length), name)
        return f"{self.step / 1e6:g} seconds"


@final
@dataclass(frozen=True)
class Months(Calendar):
    """A step of whole months, on the same day and at the same time; with ``ends``, on the last day of the month."""

    step: int
    ends: bool

    def positions(self, stamps: Stamps) -> Positions | None:
        shifted = _shift(stamps, self.ends)
        months = shifted.astype("datetime64[M]")
        within = shifted - months.astype("datetime64[us]")
        since = (months - months[0]).astype(np.int64)
        if (within != within[0]).any() or (since % self.step).any():
            return None
        return cast("Positions", since // self.step)

    def stamps(self, first: Any, positions: Positions) -> Stamps:
        start = _shift(np.asarray([first], dtype="datetime64[us]"), self.ends)[0]
        month = start.astype("datetime64[M]")
        months = (month + (positions * self.step).astype("timedelta64[M]")).astype("datetime64[us]")
        days = (months.astype("datetime64[M]") + 1).astype("datetime64[us]") - months - np.timedelta64(DAY, "us")
        # The 31st of a shorter month is its last day.
        within = start - month.astype("datetime64[us]")
        day, hour = within // np.timedelta64(DAY, "us"), within % np.timedelta64(DAY, "us")
        stamps = months + np.minimum(day * np.timedelta64(DAY, "us"), days) + hour
        return cast("Stamps", stamps - np.timedelta64(DAY, "us") if self.ends else stamps)

    def __str__(self) -> str:
        years, months = divmod(self.step, 12)
        if not months:
            return _plural(years, "year")
        return _plural(self.step // 3, "quarter") if self.step % 3 == 0 else _plural(self.step, "month")


@final
@dataclass(frozen=True)
class Workdays(Calendar):
    """Monday to Friday, at the same time of day."""

    def positions(self, stamps: Stamps) -> Positions | None:
        days = stamps.astype("datetime64[D]")
        within = stamps - days.astype("datetime64[us]")
        if (within != within[0]).any() or not np.is_busday(days).all():
            return None
        return np.busday_count(days[0], days).astype(np.int64)

    def stamps(self, first: Any, positions: Positions) -> Stamps:
        day = first.astype("datetime64[D]")
        hour = first - day.astype("datetime64[us]")
        return cast("Stamps", np.busday_offset(day, positions).astype("datetime64[us]") + hour)

    def __str__(self) -> str:
        return "1 working day"


def find_calendar(stamps: Stamps) -> Calendar | None:
    """Find the calendar of sorted, distinct ``stamps`` ``[N]``; ``None`` if they are irregular or fewer than two.

    The step is the most common difference; all others must be multiples of it.
    """
    if len(stamps) < 2:
        return None
    return next((calendar for calendar in _candidates(stamps) if calendar.positions(stamps) is not None), None)


def future_stamps(stamps: Stamps, horizon: int) -> Stamps:
    """Return the ``horizon`` stamps after the last one.

    Irregular stamps continue by their median difference, a single stamp by one day or by 1.
    """
    calendar = find_calendar(stamps)
    if calendar is None:
        dates = stamps.dtype.kind == "M"
        numbers = _plain(stamps)
        step: int | float = np.median(np.diff(numbers)).item() if len(stamps) > 1 else (DAY if dates else 1)
        whole = stamps.dtype.kind != "f"
        return Constant(max(round(step), 1) if whole else step, dates).stamps(stamps[-1], np.arange(1, horizon + 1))
    if isinstance(calendar, Constant):
        return calendar.stamps(stamps[-1], np.arange(1, horizon + 1))
    positions = calendar.positions(stamps)
    assert positions is not None  # find_calendar checked this
    return calendar.stamps(stamps[0], positions[-1] + np.arange(1, horizon + 1))


def _candidates(stamps: Stamps) -> list[Calendar]:
    """Return possible calendars, the likeliest first."""
    numbers = _plain(stamps)
    steps = numbers[1:] - numbers[:-1]
    if (steps == steps[0]).all():
        common = steps[0].item()
    elif steps.dtype.kind == "f":
        rounded, counts = np.unique(np.round(steps / steps.min(), 6), return_counts=True)
        near = np.round(steps / steps.min(), 6) == rounded[counts.argmax()]
        common = steps[near].mean().item()
    else:
        distinct, counts = np.unique(steps, return_counts=True)
        common = distinct[counts.argmax()].item()
    dates = stamps.dtype.kind == "M"
    constant = Constant(common, dates)
    if dates and steps.min() >= 28 * DAY:
        return [*_by_month(stamps), constant]
    if dates and common == DAY and len(stamps) >= 10:
        return [Workdays(), constant]  # with a Saturday among them, the second
    return [constant]


def _by_month(stamps: Stamps) -> list[Calendar]:
    calendars: list[Calendar] = []
    for ends in (False, True):
        months = _shift(stamps, ends).astype("datetime64[M]").astype(np.int64)
        distinct, counts = np.unique(np.diff(months), return_counts=True)
        if distinct[0] > 0:
            calendars.append(Months(int(distinct[counts.argmax()]), ends))
    return calendars


def _shift(stamps: Stamps, ends: bool) -> Stamps:
    """Move stamps by a day if ``ends``, so that the last day of a month becomes the first of the next."""
    return stamps + np.timedelta64(DAY, "us") if ends else stamps


def _plain(stamps: Stamps) -> NDArray[Any]:
    return stamps.view(np.int64) if stamps.dtype.kind == "M" else stamps


def _plural(count: int, name: str) -> str:
    return f"{count} {name}{'s' if count > 1 else ''}"


def format_stamp(stamp: Any) -> str:
    """Format a stamp: ``2020-01-31``, ``2020-01-31T05:00:00``, ``17``, ``0.5``."""
    if not isinstance(stamp, np.datetime64):
        return f"{stamp:d}" if isinstance(stamp, (int, np.integer)) else repr(float(stamp))
    text = str(stamp.astype("datetime64[us]")).removesuffix(".000000")
    return text.removesuffix("T00:00:00")
