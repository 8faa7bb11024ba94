"""Beam search: the likeliest sequences that a step function gives, several sources at once.

A beam holds, for each source, the K likeliest beginnings so far. All of them take a step together; of their
continuations the K likeliest stay. A beginning that ends while it is among them is finished, and is ranked by

    score = log P / ((5 + length) / 6)^α        length: units, the end counted (Wu 2016)

A source is done when K have finished, or at the greatest length. Greedy search is a beam of one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import UsageError

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]
State = TypeVar("State")


class Steps(Protocol[State]):
    """A model that takes steps in N sequences at once."""

    def step(self, tokens: Indices, state: State, /) -> tuple[Floats, State, Floats | None]:
        """Read ``tokens`` [N]: the next units' log-probabilities [N, V], the state, and where it looked [N, S]."""

    def take(self, state: State, rows: Indices, /) -> State:
        """Return the state of ``rows`` [M], which may repeat."""


@dataclass(frozen=True)
class Hypothesis:
    """A sequence that was found."""

    units: tuple[int, ...]
    """Without the end."""
    log_probability: float
    """Of the units and the end, in nats; without the end for one that was cut at the greatest length."""
    score: float
    """What it is ranked by."""
    alignment: Floats | None
    """[T, S]: where the model looked before each unit."""


def search(
    steps: Steps[State],
    state: State,
    sources: int,
    boundary: int,
    *,
    max_length: int,
    beam_size: int = 1,
    n_best: int = 1,
    length_penalty: float = 0.0,
    forbidden: Collection[int] = (),
) -> list[list[Hypothesis]]:
    """Find the ``n_best`` best sequences for each source, the best first; more than ``beam_size`` are never found.

    ``state`` is that of the N = ``sources`` rows before ``boundary``, the id that a sequence begins after and ends
    with. Of sequences cut at ``max_length`` units some are given only where too few ended. ``length_penalty`` is α: 0
    favours short sequences. ``forbidden`` ids are never written. Raises ``UsageError`` for values out of range.
    """
    _check(max_length, beam_size, n_best, length_penalty)
    beam = _Beam(sources, beam_size, boundary, length_penalty)
    state = steps.take(state, np.repeat(np.arange(sources), beam_size))
    for _ in range(max_length + 1):
        chances, state, looked = steps.step(beam.last(), state)
        chances = np.array(chances, np.float64)
        chances[:, list(forbidden)] = -np.inf
        kept = beam.grow(chances, looked, only_end=beam.length == max_length)
        if not len(kept):
            break
        state = steps.take(state, kept)
    return beam.best(n_best)


class _Beam:
    """The beginnings of the sources that are not done: A active sources with K rows each."""

    def __init__(self, sources: int, size: int, boundary: int, alpha: float) -> None:
        self.size, self.boundary, self.alpha = size, boundary, alpha
        self.length = 0
        self.active = np.arange(sources)
        self.finished: list[list[Hypothesis]] = [[] for _ in range(sources)]
        self.cut: list[list[Hypothesis]] = [[] for _ in range(sources)]
        self.units = np.zeros((sources, size, 0), np.int64)
        self.looked: Floats | None = None
        self.chances = np.full((sources, size), -np.inf)
        self.chances[:, 0] = 0.0  # the rows of a source are the same before the first step

    def last(self) -> Indices:
        """Return the unit to be read next in each row, [A · K]."""
        if not self.length:
            return np.full(self.chances.size, self.boundary)
        return self.units[:, :, -1].reshape(-1)

    def grow(self, chances: Floats, looked: Floats | None, *, only_end: bool) -> Indices:
        """Go on by one unit, by the log-probabilities [A · K, V]; return the rows that the new ones came from."""
        sources, size, vocabulary = len(self.active), self.size, chances.shape[1]
        if looked is not None:
            before = looked.reshape(sources, size, 1, -1)
            self.looked = before if self.looked is None else np.concatenate([self.looked, before], axis=2)
        joint = (self.chances[:, :, None] + chances.reshape(sources, size, -1)).reshape(sources, -1)
        count = min(2 * size, joint.shape[1])  # at most K of them end, so that K go on
        likeliest = _largest(joint, count)
        values = np.take_along_axis(joint, likeliest, 1)
        parents, units = np.divmod(likeliest, vocabulary)
        ends = units == self.boundary
        for place, source in enumerate(self.active):
            for rank in np.flatnonzero(ends[place, :size] & np.isfinite(values[place, :size])):
                self.finished[source].append(self._made(place, parents[place, rank], values[place, rank], end=1))
            if only_end:
                rows = np.flatnonzero(np.isfinite(self.chances[place]))
                self.cut[source] += [self._made(place, row, self.chances[place, row], end=0) for row in rows]
        if only_end:
            return np.zeros(0, np.int64)
        going = np.array([len(self.finished[source]) < size for source in self.active])
        # The first K that do not end, in their order; where there are fewer, impossible ones fill up.
        order = np.argsort(ends, axis=1, kind="stable")[going][:, :size]
        order = np.pad(order, ((0, 0), (0, size - order.shape[1])), mode="edge")
        parents, units = (np.take_along_axis(one[going], order, 1) for one in (parents, units))
        values = np.where(units == self.boundary, -np.inf, np.take_along_axis(values[going], order, 1))
        if count < size:
            values[:, count:] = -np.inf
        alive = np.isfinite(values).any(1)
        parents, units, values = parents[alive], units[alive], values[alive]
        places = np.flatnonzero(going)[alive]
        self.active, self.chances = self.active[places], values
        self.units = np.concatenate([self.units[places[:, None], parents], units[:, :, None]], axis=2)
        self.looked = None if self.looked is None else self.looked[places[:, None], parents]
        self.length += 1
        return (places[:, None] * size + parents).reshape(-1)

    def best(self, count: int) -> list[list[Hypothesis]]:
        """Return the best of each source: those that ended, then those that were cut."""
        ranked = []
        for finished, cut in zip(self.finished, self.cut, strict=True):
            both = (sorted(some, key=lambda one: -one.score) for some in (finished, cut))
            ranked.append([one for some in both for one in some][:count])
        return ranked

    def _made(self, place: int, row: Any, chance: float, *, end: int) -> Hypothesis:
        looked = None if self.looked is None else self.looked[place, row, : self.length]
        penalty = ((5 + self.length + end) / 6) ** self.alpha
        return Hypothesis(tuple(self.units[place, row].tolist()), float(chance), float(chance / penalty), looked)


def _largest(values: Floats, count: int) -> Indices:
    """The columns of the ``count`` largest values of each row, the largest first; of equals the first."""
    if count < values.shape[1]:
        # Everything that is as large as the smallest of them, so that equals are chosen by their order below.
        least = np.partition(values, -count, axis=1)[:, -count]
        chosen = [np.flatnonzero(row >= bound) for row, bound in zip(values, least, strict=True)]
        return np.stack(
            [some[np.argsort(-row[some], kind="stable")[:count]] for row, some in zip(values, chosen, strict=True)]
        )
    order: Indices = np.argsort(-values, axis=1, kind="stable")[:, :count]
    return order


def _check(max_length: int, beam_size: int, n_best: int, length_penalty: float) -> None:
    for name, value in (("max_length", max_length), ("beam_size", beam_size), ("n_best", n_best)):
        if value < 1:
            raise UsageError(f"{name}: got {value}, wanted at least 1")
    if n_best > beam_size:
        raise UsageError(f"n_best: got {n_best}, wanted at most the beam's size ({beam_size})")
    if not 0.0 <= length_penalty < np.inf:
        raise UsageError(f"length_penalty: got {length_penalty}, wanted a number from 0")
