"""Tests of calendars, the regular steps of time stamps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seriatim.data.named_zone import NamedZone
from seriatim.encoding.calendar import DAY, Calendar, Constant, Months, Workdays, find_calendar, future_stamps
from seriatim.encoding.zones import ObservedOffsets


def dates(*texts: str) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(texts, dtype="datetime64[us]")


CALENDARS = [
    (dates("2020-01-01", "2020-01-02", "2020-01-03"), "1 day", ["2020-01-04", "2020-01-05"]),
    (dates("2020-01-01T00", "2020-01-01T06", "2020-01-01T18"), "6 hours", ["2020-01-02", "2020-01-02T06"]),
    (dates("2020-01-06", "2020-01-13"), "1 week", ["2020-01-20", "2020-01-27"]),
    (dates("2020-01-01", "2020-02-01", "2020-04-01", "2020-05-01"), "1 month", ["2020-06-01", "2020-07-01"]),
    (dates("2019-12-31", "2020-01-31", "2020-02-29"), "1 month", ["2020-03-31", "2020-04-30"]),
    (dates("2020-01-01", "2020-04-01", "2020-07-01"), "1 quarter", ["2020-10-01", "2021-01-01"]),
    (dates("2019-06-30", "2019-09-30", "2019-12-31"), "1 quarter", ["2020-03-31", "2020-06-30"]),
    (dates("2016-01-01", "2017-01-01", "2018-01-01"), "1 year", ["2019-01-01", "2020-01-01"]),
    (dates("2019-10-31", "2019-12-31"), "2 months", ["2020-02-29", "2020-04-30"]),
    (dates("2020-01-01", "2020-01-01T00:00:00.5"), "0.5 seconds", ["2020-01-01T00:00:01", "2020-01-01T00:00:01.5"]),
    (dates("2020-01-01", "2020-01-29", "2020-02-26"), "4 weeks", ["2020-03-25", "2020-04-22"]),
]  # fmt: skip


@pytest.mark.parametrize(("stamps", "step", "then"), CALENDARS)
def test_dates(stamps: np.ndarray, step: str, then: list[str]) -> None:  # type: ignore[type-arg]
    calendar = find_calendar(stamps)
    assert str(calendar) == step
    np.testing.assert_array_equal(future_stamps(stamps, 2), dates(*then))
    assert calendar is not None
    positions = calendar.positions(stamps)
    assert positions is not None
    np.testing.assert_array_equal(calendar.stamps(stamps[0], positions), stamps)


def test_working_days() -> None:
    days = np.arange("2020-01-01", "2020-02-01", dtype="datetime64[D]")
    stamps = days[np.is_busday(days) & (days != np.datetime64("2020-01-20"))].astype("datetime64[us]")
    assert find_calendar(stamps) == Workdays()
    assert future_stamps(stamps, 2).tolist() == dates("2020-02-03", "2020-02-04").tolist()
    positions = Workdays().positions(stamps)
    assert positions is not None and positions[-1] == len(stamps)  # one holiday
    assert find_calendar(days.astype("datetime64[us]")) == Constant(DAY, True)


def test_numbers() -> None:
    assert future_stamps(np.array([1700, 1701, 1703]), 2).tolist() == [1704, 1705]
    assert find_calendar(np.array([10, 20, 40])) == Constant(10, False)
    tenths = np.arange(1, 1000) * 0.1
    calendar = find_calendar(tenths)
    assert calendar is not None and calendar.positions(tenths) is not None
    np.testing.assert_allclose(future_stamps(tenths, 2), [100.0, 100.1])


def test_irregular() -> None:
    assert find_calendar(np.array([1, 2, 4, 7, 8]) * 2 + np.array([0, 0, 0, 1, 1])) is None
    assert find_calendar(np.array([0.0, 1.0, 2.5])) is None
    assert find_calendar(dates("2020-01-01", "2020-01-15", "2020-01-31", "2020-02-15")) is None
    assert find_calendar(np.array([5])) is None
    assert future_stamps(np.array([1, 3, 9, 12]), 2).tolist() == [15, 18]
    assert future_stamps(np.array([5]), 2).tolist() == [6, 7]
    assert future_stamps(dates("2020-01-01"), 1).tolist() == dates("2020-01-02").tolist()
    assert future_stamps(dates("2020-01-01", "2020-01-02", "2020-01-03T05"), 1).dtype == "datetime64[us]"


GRIDS = [Constant(3_600_000_000, True), Constant(7 * DAY, True), Months(1, 1), Months(3, 31), Months(12, 1)]


@given(
    st.sampled_from(GRIDS),
    st.lists(st.integers(1, 3), min_size=5, max_size=30),
)
def test_calendar_is_recovered_and_continued(calendar: Calendar, steps: list[int]) -> None:
    first = np.datetime64("2019-01-31" if calendar == Months(3, 31) else "2019-01-01", "us")
    positions = np.cumsum([0, *[1] * (len(steps) + 1), *steps])  # gaps, but 1 is the most common step
    whole = calendar.stamps(first, np.arange(positions[-1] + 1))
    stamps = whole[positions]
    assert str(find_calendar(stamps)) == str(calendar)
    np.testing.assert_array_equal(future_stamps(stamps, 3), calendar.stamps(first, positions[-1] + np.arange(1, 4)))


def test_months_keep_their_day_through_february() -> None:
    stamps = dates("2019-11-30", "2019-12-30", "2020-01-30")
    assert future_stamps(stamps, 3).tolist() == dates("2020-02-29", "2020-03-30", "2020-04-30").tolist()
    stamps = dates("2019-12-30", "2020-01-30", "2020-02-29", "2020-03-30")
    assert find_calendar(stamps) == Months(1, 30)
    assert future_stamps(stamps[:3], 1).tolist() == dates("2020-03-30").tolist()


def test_days_are_regular_in_local_time() -> None:
    """UTC days around a change of clocks have 23 or 25 hours."""
    for zone in (NamedZone("Europe/Berlin"), observed(dates("2020-03-28", "2020-03-29", "2020-03-30"), 60, 60, 120)):
        stamps = zone.to_instants(dates("2020-03-27", "2020-03-28", "2020-03-29", "2020-03-30"))
        assert str(find_calendar(stamps, zone)) == "1 day"
        assert zone.to_local(future_stamps(stamps, 2, zone)).tolist() == dates("2020-03-31", "2020-04-01").tolist()
    zone = NamedZone("Europe/Berlin")
    hours = zone.to_instants(dates("2020-03-29T00", "2020-03-29T01"))
    assert zone.to_local(future_stamps(hours, 2, zone)).tolist() == dates("2020-03-29T03", "2020-03-29T04").tolist()


def test_utc_stamps_of_local_days_without_zone() -> None:
    days = np.arange("2021-10-25", "2021-11-20", dtype="datetime64[D]")
    work = days[np.is_busday(days)]
    hours = np.where(work < np.datetime64("2021-11-08"), 4, 5)
    stamps = work.astype("datetime64[us]") + hours.astype("timedelta64[h]")
    calendar = find_calendar(stamps)
    assert calendar is not None and str(calendar) == "1 working day"
    assert calendar.positions(stamps).tolist() == list(range(len(stamps)))  # type: ignore[union-attr]
    assert future_stamps(stamps, 1).tolist() == dates("2021-11-22T05").tolist()
    midnights = dates("2020-03-27T23", "2020-03-28T23", "2020-03-29T22", "2020-03-30T22")
    assert str(find_calendar(midnights)) == "1 day"
    assert future_stamps(midnights, 1).tolist() == dates("2020-03-31T22").tolist()
    assert find_calendar(dates("2020-03-27T20", "2020-03-28T23", "2020-03-29T22")) is None


def observed(local: np.ndarray, *minutes: int) -> ObservedOffsets:  # type: ignore[type-arg]
    offsets = np.array(minutes)
    return ObservedOffsets(local - (offsets * 60_000_000).astype("timedelta64[us]"), offsets)
