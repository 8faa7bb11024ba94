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

from seriatim.encoding.zones import Zone

Stamps = NDArray[Any]
Positions = NDArray[np.int64]

DAY: Final = 86_400_000_000
"""Microseconds."""
HOUR: Final = DAY // 24
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
    """A step of whole months, on the same ``day`` and at the same time; a shorter month has its last day instead.

    ``day`` 31 is the end of each month.
    """

    step: int
    day: int

    def positions(self, stamps: Stamps) -> Positions | None:
        days = stamps.astype("datetime64[D]")
        months = days.astype("datetime64[M]")
        expected = np.minimum(self.day, _month_lengths(months))
        since = (months - months[0]).astype(np.int64)
        clock = stamps - days.astype("datetime64[us]")
        is_off = (clock != clock[0]).any() or (_days_of_month(days) != expected).any()
        if is_off or (since % self.step).any():
            return None
        return cast("Positions", since // self.step)

    def stamps(self, first: Any, positions: Positions) -> Stamps:
        day = first.astype("datetime64[D]")
        months = day.astype("datetime64[M]") + (positions * self.step).astype("timedelta64[M]")
        days = np.minimum(self.day, _month_lengths(months)) - 1
        clock = first - day.astype("datetime64[us]")
        stamps = months.astype("datetime64[D]") + days.astype("timedelta64[D]")
        return cast("Stamps", stamps.astype("datetime64[us]") + clock)

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


@final
@dataclass(frozen=True)
class Local(Calendar):
    """A calendar of the local time in ``zone``: its days do not all have 24 hours."""

    inner: Calendar
    zone: Zone

    def positions(self, stamps: Stamps) -> Positions | None:
        return self.inner.positions(self.zone.to_local(stamps))

    def stamps(self, first: Any, positions: Positions) -> Stamps:
        start = self.zone.to_local(np.asarray([first], dtype="datetime64[us]"))[0]
        return self.zone.to_instants(self.inner.stamps(start, positions))

    def __str__(self) -> str:
        return str(self.inner)


@final
@dataclass(frozen=True)
class ClockChanges(Calendar):
    """Days, weeks or months at ``clock`` or one hour later, as a local time with summer time looks in UTC."""

    inner: Calendar
    clock: int
    """Microseconds since midnight."""

    def positions(self, stamps: Stamps) -> Positions | None:
        return self.inner.positions(stamps - _lateness(stamps, self.clock))

    def stamps(self, first: Any, positions: Positions) -> Stamps:
        late = _lateness(np.asarray([first], dtype="datetime64[us]"), self.clock)[0]
        return cast("Stamps", self.inner.stamps(first - late, positions) + late)

    def __str__(self) -> str:
        return str(self.inner)


def find_calendar(stamps: Stamps, zone: Zone | None = None) -> Calendar | None:
    """Find the calendar of sorted, distinct ``stamps`` ``[N]``; ``None`` if they are irregular or fewer than two.

    The step is the most common difference; all others must be multiples of it. Stamps with a ``zone`` are UTC; steps
    of a day or more are regular in local time.
    """
    if len(stamps) < 2:
        return None
    is_daily = stamps.dtype.kind == "M" and (stamps[1:] - stamps[:-1]).min() >= np.timedelta64(DAY - 3 * HOUR, "us")
    if is_daily and zone is not None:
        inner = find_calendar(zone.to_local(stamps))
        if inner is not None:
            return Local(inner, zone)
    for calendar in _candidates(stamps):
        if calendar.positions(stamps) is not None:
            return calendar
    return _with_clock_changes(stamps) if is_daily else None


def _with_clock_changes(stamps: Stamps) -> Calendar | None:
    clocks = np.unique((stamps - stamps.astype("datetime64[D]")).astype(np.int64))
    for clock in clocks.tolist():
        if len(clocks) == 2 and set(((clocks - clock) % DAY).tolist()) == {0, HOUR}:
            inner = find_calendar(stamps - _lateness(stamps, clock))
            return None if inner is None else ClockChanges(inner, clock)
    return None


def _lateness(stamps: Stamps, clock: int) -> Stamps:
    """Return by how much each stamp is later than ``clock`` on its day: 0 or one hour."""
    late = ((stamps - stamps.astype("datetime64[D]")).astype(np.int64) - clock) % DAY
    return cast("Stamps", late.astype("timedelta64[us]"))


def future_stamps(stamps: Stamps, horizon: int, zone: Zone | None = None) -> Stamps:
    """Return the ``horizon`` stamps after the last one.

    Irregular stamps continue by their median difference, a single stamp by one day or by 1.
    """
    ahead = np.arange(1, horizon + 1)
    calendar = find_calendar(stamps, zone)
    if calendar is not None:
        return calendar.stamps(stamps[-1], ahead)
    is_date = stamps.dtype.kind == "M"
    numbers = _plain(stamps)
    step: int | float = np.median(np.diff(numbers)).item() if len(stamps) > 1 else (DAY if is_date else 1)
    is_whole = stamps.dtype.kind != "f"
    return Constant(max(round(step), 1) if is_whole else step, is_date).stamps(stamps[-1], ahead)


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
    days = stamps.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    distinct, counts = np.unique(np.diff(months.astype(np.int64)), return_counts=True)
    if distinct[0] <= 0:
        return []
    step = int(distinct[counts.argmax()])
    day_of_month = _days_of_month(days)
    ends = [31] if (day_of_month == _month_lengths(months)).all() else []
    return [Months(step, day) for day in (*ends, int(day_of_month.max()))]


def _days_of_month(days: NDArray[Any]) -> NDArray[np.int64]:
    return cast("NDArray[np.int64]", (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1)


def _month_lengths(months: NDArray[Any]) -> NDArray[np.int64]:
    return cast(
        "NDArray[np.int64]", ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    )


def _plain(stamps: Stamps) -> NDArray[Any]:
    return stamps.view(np.int64) if stamps.dtype.kind == "M" else stamps


def _plural(count: int, name: str) -> str:
    return f"{count} {name}{'s' if count > 1 else ''}"
