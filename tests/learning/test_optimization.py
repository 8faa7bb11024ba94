"""The schedules of the learning rate."""

from __future__ import annotations

import pytest

from seriatim.learning.optimization import schedule_factor, warmup_factor


def test_warmup_rises_linearly() -> None:
    assert [warmup_factor(4, step) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmup_factor(0, 0) == 1.0, "no warmup"


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_cosine_and_linear_schedules_fall_to_zero(schedule: str) -> None:
    falls = [schedule_factor(schedule, tenths / 10, 0) for tenths in range(11)]
    assert falls[0] == 1.0 and falls == sorted(falls, reverse=True)
    assert abs(falls[-1]) < 1e-12


def test_plateau_halves_rate_at_each_drop() -> None:
    assert [schedule_factor("plateau", 0.5, stale) for stale in range(3)] == [1.0, 0.5, 0.25]
