"""Timing of alternatives against each other in one process, by turns, in random order.

The speed of a machine drifts, so figures that are taken one after the other cannot be compared. Here each round runs
every side once, in a random order, and ratios are taken within a round. A turn is one slow call, or several quick calls
in a row, as in a program's own loop: the first call after another side's turn finds cold caches.
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
"""Seconds that a turn takes at least. Quicker calls are repeated."""
WARM_UP = 2
"""Calls of each side that are not counted …"""
SLOW = 0.5
"""… or a single call, if it takes more seconds than this."""


Clock: TypeAlias = Callable[[], float]
"""A function that returns seconds since an arbitrary moment."""


@dataclass(frozen=True)
class Side:
    """One of the alternatives that are timed."""

    run: Callable[[], object]
    prepare: Callable[[], object] | None = None
    """Called before each run, and not timed."""


@dataclass(frozen=True)
class Spread:
    """A median and its quartiles."""

    median: float
    low: float
    """The lower quartile."""
    high: float
    """The upper quartile."""
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise one value or more."""
        ordered = sorted(values)
        if len(ordered) == 1:
            return cls(ordered[0], ordered[0], ordered[0], 1)
        low, median, high = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(median, low, high, len(ordered))

    def to_json(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high, "count": self.count}


@dataclass(frozen=True)
class Race:
    """The result of ``race``: seconds per call of each side, round by round."""

    samples: Mapping[str, Sequence[float]]

    def seconds(self, side: str) -> Spread:
        """Seconds per call of ``side``."""
        return Spread.of(self.samples[side])

    def ratio(self, side: str, to: str) -> Spread:
        """How many times as fast ``side`` is as ``to``, computed for each round."""
        pairs = zip(self.samples[side], self.samples[to], strict=True)
        return Spread.of(other / own for own, other in pairs)


def race(
    sides: Mapping[str, Side], *, seconds: float, min_rounds: int = 5, max_rounds: int = 2000, seed: int = 0,
    clock: Clock | None = None,
) -> Race:  # fmt: skip
    """Run the sides by turns for about ``seconds`` in total, from ``min_rounds`` to ``max_rounds`` rounds.

    ``clock`` is ``time.perf_counter`` by default. ``time.process_time`` is disturbed less by other work on the machine.
    """
    clock = clock or time.perf_counter
    calls = {name: _calls(side, clock) for name, side in sides.items()}
    samples: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    shuffle = random.Random(seed).shuffle
    # Otherwise a garbage collection during a call would count as time of the call.
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        began, rounds = time.perf_counter(), 0
        while rounds < min_rounds or (rounds < max_rounds and time.perf_counter() - began < seconds):
            shuffle(order)
            for name in order:
                samples[name].append(_turn(sides[name], calls[name], clock))
            rounds += 1
    finally:
        if was_enabled:
            gc.enable()
    return Race(samples)


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean: the mean of twice as fast and half as fast is 1."""
    return statistics.geometric_mean(ratios)


def _calls(side: Side, clock: Clock) -> int:
    """Warm ``side`` up, and return how many calls one turn has."""
    seconds = 0.0
    for _ in range(WARM_UP):
        seconds = _turn(side, 1, clock)
        if seconds > SLOW:
            break
    return max(1, math.ceil(TURN / max(seconds, 1e-9)))


def _turn(side: Side, calls: int, clock: Clock) -> float:
    """Run one turn and return the seconds per call."""
    run, prepare = side.run, side.prepare
    if prepare is None:
        began = clock()
        for _ in range(calls):
            run()
        return (clock() - began) / calls
    total = 0.0
    for _ in range(calls):
        prepare()
        began = clock()
        run()
        total += clock() - began
    return total / calls
