"""Timing several ways of doing one thing against each other: in one process, by turns, in random order.

A machine's speed drifts, so figures taken one after the other do not compare. Here every round has one turn for each
side, in an order of its own, and a ratio is taken within its round. A turn is one call, or as many quick ones, one
after the other, as a program's own loop would make: after another side's call the caches hold nothing of this one's.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

TURN = 10e-3
"""Seconds: quicker calls are repeated until a turn takes about this long."""
WARM_UP = 2
"""Calls of each side before anything counts …"""
SLOW = 0.5
"""… or one alone, where it took more seconds than this."""


Clock: TypeAlias = Callable[[], float]
"""Seconds since whenever."""


@dataclass(frozen=True)
class Side:
    """One of the ways that are timed."""

    run: Callable[[], object]
    prepare: Callable[[], object] | None = None
    """What comes before each call and is not timed."""


@dataclass(frozen=True)
class Spread:
    """A median and how far the middle half of the values lies around it."""

    median: float
    low: float
    """The lower quartile."""
    high: float
    """The upper quartile."""
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Sum up one value or more."""
        found = sorted(values)
        if len(found) == 1:
            return cls(found[0], found[0], found[0], 1)
        low, median, high = statistics.quantiles(found, n=4, method="inclusive")
        return cls(median, low, high, len(found))

    def to_json(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high, "count": self.count}


@dataclass(frozen=True)
class Race:
    """What a race came to: seconds per call of each side, round by round."""

    samples: Mapping[str, Sequence[float]]

    def seconds(self, side: str) -> Spread:
        """How long one call takes."""
        return Spread.of(self.samples[side])

    def ratio(self, side: str, to: str) -> Spread:
        """How many times as fast ``side`` is as ``to``, each round by itself."""
        pairs = zip(self.samples[side], self.samples[to], strict=True)
        return Spread.of(other / own for own, other in pairs)


def race(
    sides: Mapping[str, Side], *, seconds: float, at_least: int = 5, at_most: int = 2000, seed: int = 0,
    clock: Clock | None = None,
) -> Race:  # fmt: skip
    """Run the sides by turns for about ``seconds`` in all, from ``at_least`` to ``at_most`` rounds.

    ``clock`` is what a call is timed by: ``time.perf_counter``, or ``time.process_time``, which other work on the
    machine disturbs less.
    """
    clock = clock or time.perf_counter
    calls = {name: _calls(side, clock) for name, side in sides.items()}
    samples: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    shuffle = random.Random(seed).shuffle
    # A collection in the middle of a call would be counted as the call's.
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        began, rounds = time.perf_counter(), 0
        while rounds < at_least or (rounds < at_most and time.perf_counter() - began < seconds):
            shuffle(order)
            for name in order:
                samples[name].append(_turn(sides[name], calls[name], clock))
            rounds += 1
    finally:
        if collecting:
            gc.enable()
    return Race(samples)


def geometric_mean(ratios: Iterable[float]) -> float:
    """The mean that ratios have: twice as fast and half as fast make 1."""
    return statistics.geometric_mean(ratios)


def _calls(side: Side, clock: Clock) -> int:
    """Warm a side up and choose how many calls make a turn."""
    once = 0.0
    for _ in range(WARM_UP):
        once = _turn(side, 1, clock)
        if once > SLOW:
            break
    return max(1, math.ceil(TURN / max(once, 1e-9)))


def _turn(side: Side, calls: int, clock: Clock) -> float:
    """Seconds per call."""
    run, prepare = side.run, side.prepare
    if prepare is None:
        began = clock()
        for _ in range(calls):
            run()
        return (clock() - began) / calls
    taken = 0.0
    for _ in range(calls):
        prepare()
        began = clock()
        run()
        taken += clock() - began
    return taken / calls
