"""The usual season of a calendar: a week of days, a year of months, a day of hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seriatim.encoding.calendar import DAY, Calendar, ClockChanges, Constant, Local, Months, Workdays

WEEKS_OF_YEAR: Final = 52


@dataclass(frozen=True)
class Season:
    """A number of steps, and the period that they make up."""

    steps: int
    period: str


def usual_season(calendar: Calendar | None) -> Season | None:
    """Return the season that series with this calendar most often have; None if there is no usual one."""
    if isinstance(calendar, (Local, ClockChanges)):
        return usual_season(calendar.inner)
    if isinstance(calendar, Workdays):
        return Season(5, "week")
    if isinstance(calendar, Months):
        return Season(12 // calendar.step, "year") if calendar.step < 12 and 12 % calendar.step == 0 else None
    if isinstance(calendar, Constant) and calendar.dates:
        if calendar.step == 7 * DAY:
            return Season(WEEKS_OF_YEAR, "year")
        if calendar.step == DAY:
            return Season(7, "week")
        if calendar.step < DAY and DAY % calendar.step == 0:
            return Season(int(DAY // calendar.step), "day")
    return None
