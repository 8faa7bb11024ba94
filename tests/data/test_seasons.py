"""The usual season of time stamps."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.data.named_zone import NamedZone
from seriatim.data.seasons import Season, usual_season
from seriatim.encoding.calendar import find_calendar

DAYS = np.datetime64("2020-01-01", "us") + np.arange(400) * np.timedelta64(1, "D")


def stamps_every(step: int, unit: str) -> np.ndarray:
    return np.datetime64("2020-01-06", "us") + np.arange(40) * np.timedelta64(step, unit)


def months(step: int) -> np.ndarray:
    return (np.datetime64("2015-01", "M") + step * np.arange(40)).astype("datetime64[us]")


@pytest.mark.parametrize(
    ("stamps", "season"),
    [
        (DAYS, Season(7, "week")),
        (DAYS[np.is_busday(DAYS.astype("datetime64[D]"))], Season(5, "week")),
        (stamps_every(7, "D"), Season(52, "year")),
        (months(1), Season(12, "year")),
        (months(3), Season(4, "year")),
        (stamps_every(1, "h"), Season(24, "day")),
        (stamps_every(15, "m"), Season(96, "day")),
        (months(12), None),
        (months(5), None),
        (stamps_every(7, "h"), None),
        (stamps_every(2, "D"), None),
        (np.arange(40), None),
        (np.arange(40) * 0.5, None),
        (np.array(["2020-01-01", "2020-01-03", "2020-01-06"], "datetime64[us]"), None),
    ],
)
def test_usual_season(stamps: np.ndarray, season: Season | None) -> None:
    assert usual_season(find_calendar(stamps)) == season


def test_days_of_a_zone_and_of_changing_clocks_have_weeks() -> None:
    zone = NamedZone("Europe/Berlin")
    assert usual_season(find_calendar(zone.to_instants(DAYS), zone)) == Season(7, "week")
    shifted = DAYS + np.where(np.arange(400) > 200, np.timedelta64(1, "h"), np.timedelta64(0, "h"))
    assert usual_season(find_calendar(shifted)) == Season(7, "week")
