"""Races: number of calls, timed parts and summary figures. The clocks are fake."""

from __future__ import annotations

import gc

import pytest

from seriatim.bench import paired_timing as pairing
from seriatim.bench.paired_timing import Race, Side, Spread, geometric_mean, race


class Clock:
    """A clock that advances only when a call takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def taking(self, seconds: float):
        def call() -> None:
            self.now += seconds

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(pairing, "time", fake)
    return fake


def test_race_times_and_compares_sides_round_by_round(clock):
    result = race({"ours": Side(clock.taking(0.125)), "theirs": Side(clock.taking(0.375))}, seconds=5.0)
    assert result.seconds("ours").median == pytest.approx(0.125)
    assert result.ratio("ours", "theirs").median == pytest.approx(3.0)
    assert result.seconds("ours").count == result.seconds("theirs").count == 10


def test_race_accepts_another_clock(clock):
    other = Clock()
    result = race({"it": Side(other.taking(0.25))}, seconds=0.0, clock=other.perf_counter)
    assert result.seconds("it").median == pytest.approx(0.25)
    assert clock.now == 0


def test_prepare_runs_before_each_call_and_is_not_timed(clock):
    order: list[str] = []

    def prepare() -> None:
        clock.now += 5.0
        order.append("prepare")

    def run() -> None:
        clock.now += pairing.TURN / 3.5
        order.append("run")

    result = race({"it": Side(run, prepare)}, seconds=0.0, min_rounds=3)
    assert result.seconds("it").median == pytest.approx(pairing.TURN / 3.5)
    assert order == ["prepare", "run"] * (pairing.WARM_UP + 3 * 4)


def test_quick_calls_are_repeated(clock):
    calls = 0

    def run() -> None:
        nonlocal calls
        calls += 1
        clock.now += pairing.TURN / 8

    result = race({"it": Side(run)}, seconds=0.0, min_rounds=2)
    assert result.seconds("it").median == pytest.approx(pairing.TURN / 8)
    assert pairing.WARM_UP + 2 * 8 <= calls <= pairing.WARM_UP + 2 * 9


def test_slow_call_is_warmed_up_once(clock):
    calls = 0

    def run() -> None:
        nonlocal calls
        calls += 1
        clock.now += 2 * pairing.SLOW

    race({"it": Side(run)}, seconds=0.0, min_rounds=1)
    assert calls == 2


def test_race_respects_max_rounds(clock):
    result = race({"it": Side(clock.taking(0.01))}, seconds=100.0, max_rounds=7)
    assert result.seconds("it").count == 7


def test_race_restores_garbage_collection(clock):
    def failing_call() -> None:
        raise RuntimeError("no")

    race({"it": Side(clock.taking(1.0))}, seconds=0.0, min_rounds=1)
    assert gc.isenabled()
    with pytest.raises(RuntimeError):
        race({"it": Side(failing_call)}, seconds=0.0)
    assert gc.isenabled()


def test_ratio_is_independent_of_drift():
    drifting = Race({"ours": [1.0, 2.0, 4.0, 8.0], "theirs": [2.0, 4.0, 8.0, 16.0]})
    assert drifting.ratio("ours", "theirs") == Spread(2.0, 2.0, 2.0, 4)
    assert drifting.seconds("theirs").high > drifting.seconds("theirs").low


def test_spread():
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 1)


def test_geometric_mean():
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
