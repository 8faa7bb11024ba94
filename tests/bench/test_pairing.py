"""Races: how often each side runs, what is timed, and how figures are summed up. Clocks are wound by hand."""

from __future__ import annotations

import gc

import pytest

from seriatim.bench import pairing
from seriatim.bench.pairing import Race, Side, Spread, geometric_mean, race


class Clock:
    """A clock that stands still until something takes time."""

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
    made = Clock()
    monkeypatch.setattr(pairing, "time", made)
    return made


def test_sides_are_timed_and_compared_round_by_round(clock):
    found = race({"ours": Side(clock.taking(0.125)), "theirs": Side(clock.taking(0.375))}, seconds=5.0)
    assert found.seconds("ours").median == pytest.approx(0.125)
    assert found.ratio("ours", "theirs").median == pytest.approx(3.0)
    assert found.seconds("ours").count == found.seconds("theirs").count == 10


def test_calls_may_be_timed_by_another_clock(clock):
    other = Clock()
    found = race({"it": Side(other.taking(0.25))}, seconds=0.0, clock=other.perf_counter)
    assert found.seconds("it").median == pytest.approx(0.25)
    assert clock.now == 0


def test_preparing_is_not_timed_and_comes_before_every_call(clock):
    order: list[str] = []

    def prepare() -> None:
        clock.now += 5.0
        order.append("prepare")

    def run() -> None:
        clock.now += pairing.TURN / 3.5
        order.append("run")

    found = race({"it": Side(run, prepare)}, seconds=0.0, at_least=3)
    assert found.seconds("it").median == pytest.approx(pairing.TURN / 3.5)
    assert order == ["prepare", "run"] * (pairing.WARM_UP + 3 * 4)


def test_quick_calls_are_repeated(clock):
    calls = 0

    def run() -> None:
        nonlocal calls
        calls += 1
        clock.now += pairing.TURN / 8

    found = race({"it": Side(run)}, seconds=0.0, at_least=2)
    assert found.seconds("it").median == pytest.approx(pairing.TURN / 8)
    assert pairing.WARM_UP + 2 * 8 <= calls <= pairing.WARM_UP + 2 * 9


def test_slow_calls_are_warmed_up_once(clock):
    calls = 0

    def run() -> None:
        nonlocal calls
        calls += 1
        clock.now += 2 * pairing.SLOW

    race({"it": Side(run)}, seconds=0.0, at_least=1)
    assert calls == 2


def test_there_are_at_most_so_many_rounds(clock):
    found = race({"it": Side(clock.taking(0.01))}, seconds=100.0, at_most=7)
    assert found.seconds("it").count == 7


def test_garbage_is_collected_again_afterwards(clock):
    def broken() -> None:
        raise RuntimeError("no")

    race({"it": Side(clock.taking(1.0))}, seconds=0.0, at_least=1)
    assert gc.isenabled()
    with pytest.raises(RuntimeError):
        race({"it": Side(broken)}, seconds=0.0)
    assert gc.isenabled()


def test_a_drifting_machine_does_not_change_a_ratio():
    slowing = Race({"ours": [1.0, 2.0, 4.0, 8.0], "theirs": [2.0, 4.0, 8.0, 16.0]})
    assert slowing.ratio("ours", "theirs") == Spread(2.0, 2.0, 2.0, 4)
    assert slowing.seconds("theirs").high > slowing.seconds("theirs").low


def test_spread():
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 1)


def test_geometric_mean():
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
