"""How the learning rate rises and falls."""

from __future__ import annotations

import pytest

from seriatim.learning.optimization import schedule_factor, warmup_factor


def test_a_warm_up_rises_in_a_line_to_the_whole_rate() -> None:
    assert [warmup_factor(4, step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmup_factor(0, 0) == 1.0, "without one the first update has the whole rate"


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_a_schedule_with_an_end_falls_from_the_whole_rate_to_nothing(schedule: str) -> None:
    falls = [schedule_factor(schedule, done / 10, 0) for done in range(11)]
    assert falls[0] == 1.0 and falls == sorted(falls, reverse=True)
    assert abs(falls[-1]) < 1e-12


def test_plateau_halves_the_rate_at_each_validation_without_gain() -> None:
    assert [schedule_factor("plateau", 0.5, stale) for stale in range(3)] == [1.0, 0.5, 0.25]
