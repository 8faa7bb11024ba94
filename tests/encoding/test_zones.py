"""Tests of time zones."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.data.named_zone import NamedZone
from seriatim.encoding.zones import FixedOffset, ObservedOffsets, Zone

INSTANTS = np.array(["2020-01-01T12:00", "2020-07-01T12:00", "2020-10-25T00:30", "2020-10-25T01:30"], "datetime64[us]")
BERLIN = np.array([60, 120, 120, 60])


@pytest.mark.parametrize(
    ("zone", "minutes"),
    [
        (FixedOffset(-210), [-210] * 4),
        (NamedZone("Europe/Berlin"), BERLIN),
        (ObservedOffsets(INSTANTS[::-1], BERLIN[::-1]), BERLIN),
    ],
)
def test_offsets_and_round_trip(zone: Zone, minutes: list[int]) -> None:
    local = zone.to_local(INSTANTS)
    assert [zone.offset(instant) for instant in INSTANTS] == list(minutes)
    again = zone.to_instants(local)
    np.testing.assert_array_equal(again[:3], INSTANTS[:3])
    assert again[3] == INSTANTS[3 if isinstance(zone, FixedOffset) else 2]  # of a repeated hour the first


def test_skipped_hour_is_moved_on() -> None:
    zone = NamedZone("Europe/Berlin")
    skipped = np.array(["2020-03-29T02:30"], "datetime64[us]")
    assert zone.to_local(zone.to_instants(skipped)).tolist() == [np.datetime64("2020-03-29T03:30", "us").item()]
