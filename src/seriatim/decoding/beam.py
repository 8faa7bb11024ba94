"""Beam search: finds the likeliest sequences of a step function, for several sources at once.

For each source the beam keeps the K likeliest prefixes. All prefixes take a step together, and the K likeliest
continuations stay. A prefix among them that ends is finished. Finished sequences are ranked by

    score = log P / ((5 + length) / 6)^α        length: number of units with the end (Wu 2016)

A source is done when K sequences have finished, or at the maximum length. Greedy search is a beam of size 1.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import UsageError

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]
State = TypeVar("State")

GROUP: Final = 16
"""The number of units in a group. The search first compares the likeliest units of all groups."""
ROUNDING: Final = 1e-6
"""A relative margin. It is larger than the rounding error of the difference of two scores in float32."""


class StepModel(Protocol[State]):
    """A model that takes steps in N sequences at once."""

    def step(self, tokens: Indices, state: State, /) -> tuple[Floats, State, Floats | None]:
        """Read ``tokens`` [N]; return log-probabilities of the next units [N, V], the state, and attention [N, S].

        The log-probabilities belong to the caller, who may change them.
        """

    def take(self, state: State, rows: Indices, /) -> State:
        """Return the state of ``rows`` [M]; a row may repeat."""


@dataclass(frozen=True)
class Hypothesis:
    """One sequence in the result."""

    units: tuple[int, ...]
    """Without the end unit."""
    log_probability: float
    """Of the units and the end, in nats; without the end if the sequence was cut at the maximum length."""
    score: float
    """Rank criterion."""
    alignment: Floats | None
    """[T, S]: attention weights before each unit."""


def search(
    steps: StepModel[State],
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
    """Return the ``n_best`` best sequences of each source, the best first; there are at most ``beam_size``.

    ``state`` is the state of the N = ``sources`` rows before ``boundary``, the id that starts and ends a sequence.
    Sequences cut at ``max_length`` units are returned only if too few have ended. ``length_penalty`` is α; 0 favours
    short sequences. ``forbidden`` ids are never written. Raises ``UsageError`` for values out of range.
    """
    _check(max_length, beam_size, n_best, length_penalty)
    beam = _Beam(sources, beam_size, boundary, length_penalty)
    state = steps.take(state, np.repeat(np.arange(sources), beam_size))
    for _ in range(max_length + 1):
        log_probabilities, state, attention = steps.step(beam.last(), state)
        log_probabilities[:, list(forbidden)] = -np.inf
        parents = beam.grow(log_probabilities, attention, only_end=beam.length == max_length)
        if not len(parents):
            break
        state = steps.take(state, parents)
    return beam.best(n_best)


class _Beam:
    """The prefixes of the A active sources, with K rows for each source."""

    def __init__(self, sources: int, size: int, boundary: int, alpha: float) -> None:
        self.size, self.boundary, self.alpha = size, boundary, alpha
        self.length = 0
        self.active = np.arange(sources)
        self.finished: list[list[Hypothesis]] = [[] for _ in range(sources)]
        self.cut: list[list[Hypothesis]] = [[] for _ in range(sources)]
        self.units = np.zeros((sources, size, 0), np.int64)
        self.attention: Floats | None = None
        self.scores = np.full((sources, size), -np.inf)
        self.scores[:, 0] = 0.0  # before the first step the rows of a source are equal

    def last(self) -> Indices:
        """Return the unit that each row reads next, [A · K]."""
        if not self.length:
            return np.full(self.scores.size, self.boundary)
        return self.units[:, :, -1].reshape(-1)

    def grow(self, log_probabilities: Floats, attention: Floats | None, *, only_end: bool) -> Indices:
        """Extend the prefixes by one unit, by log-probabilities [A · K, V]; return the parent of each new row."""
        sources, size, vocabulary = len(self.active), self.size, log_probabilities.shape[1]
        if attention is not None:
            latest = attention.reshape(sources, size, 1, -1)
            self.attention = latest if self.attention is None else np.concatenate([self.attention, latest], axis=2)
        count = min(2 * size, size * vocabulary)  # at most K of them end, so at least K continue
        parents, units, values = _likeliest(self.scores, log_probabilities.reshape(sources, size, -1), count)
        ends = units == self.boundary
        for index, rank in np.argwhere(ends[:, :size] & np.isfinite(values[:, :size])):
            hypothesis = self._hypothesis(index, parents[index, rank], values[index, rank], end=1)
            self.finished[self.active[index]].append(hypothesis)
        if only_end:
            for index, row in np.argwhere(np.isfinite(self.scores)):
                self.cut[self.active[index]].append(self._hypothesis(index, row, self.scores[index, row], end=0))
            return np.zeros(0, np.int64)
        continues = np.array([len(self.finished[source]) < size for source in self.active])
        # The first K that do not end, in order; impossible ones fill the rest.
        order = np.argsort(ends, axis=1, kind="stable")[continues][:, :size]
        order = np.pad(order, ((0, 0), (0, size - order.shape[1])), mode="edge")
        parents, units = (np.take_along_axis(table[continues], order, 1) for table in (parents, units))
        values = np.where(units == self.boundary, -np.inf, np.take_along_axis(values[continues], order, 1))
        if count < size:
            values[:, count:] = -np.inf
        alive = np.isfinite(values).any(1)
        parents, units, values = parents[alive], units[alive], values[alive]
        source_rows = np.flatnonzero(continues)[alive]
        self.active, self.scores = self.active[source_rows], values
        self.units = np.concatenate([self.units[source_rows[:, None], parents], units[:, :, None]], axis=2)
        self.attention = None if self.attention is None else self.attention[source_rows[:, None], parents]
        self.length += 1
        return (source_rows[:, None] * size + parents).reshape(-1)

    def best(self, count: int) -> list[list[Hypothesis]]:
        """Return the best sequences of each source: first those that ended, then those that were cut."""
        ranked = []
        for finished, cut in zip(self.finished, self.cut, strict=True):
            groups = (sorted(group, key=lambda hypothesis: -hypothesis.score) for group in (finished, cut))
            ranked.append([hypothesis for group in groups for hypothesis in group][:count])
        return ranked

    def _hypothesis(self, index: int, row: Any, log_probability: float, *, end: int) -> Hypothesis:
        attention = None if self.attention is None else self.attention[index, row, : self.length]
        penalty = ((5 + self.length + end) / 6) ** self.alpha
        units = tuple(self.units[index, row].tolist())
        return Hypothesis(units, float(log_probability), float(log_probability / penalty), attention)


def _likeliest(scores: Floats, log_probabilities: Floats, count: int) -> tuple[Indices, Indices, Floats]:
    """Return the ``count`` likeliest continuations of each source, the likeliest first; ties keep their order.

    ``scores`` [A, K] are those of the prefixes, and ``log_probabilities`` [A, K, V] those of the next units. Returns
    rows in 0 … K - 1, units, and scores, [A, ``count``] each.
    """
    sources, size, vocabulary = log_probabilities.shape
    bounds = _lower_bounds(scores, log_probabilities, count)
    if bounds is None:
        joint = (scores[:, :, None] + log_probabilities).reshape(sources, -1)
        order = np.argsort(-joint, axis=1, kind="stable")[:, :count]
        return *np.divmod(order, vocabulary), np.take_along_axis(joint, order, 1)
    least = bounds[:, None] - scores  # infinite for impossible prefixes
    np.subtract(least, ROUNDING * (1 + np.abs(least)), out=least, where=np.isfinite(least))
    places = np.flatnonzero(log_probabilities >= least[:, :, None].astype(log_probabilities.dtype))
    rows, units = np.divmod(places, vocabulary)
    joint = scores.reshape(-1)[rows] + log_probabilities.reshape(-1)[places]
    source = rows // size
    order = np.lexsort((-joint, source))
    chosen = order[np.searchsorted(source, np.arange(sources))[:, None] + np.arange(count)]
    return rows[chosen] % size, units[chosen], joint[chosen]


def _lower_bounds(scores: Floats, log_probabilities: Floats, count: int) -> Floats | None:
    """Return for each source a score [A] that at least ``count`` of its continuations reach.

    The units are divided into groups. Of the likeliest continuations of all groups, the ``count``-th best is the bound.
    Returns None if there are too few groups, or too few possible continuations.
    """
    sources, size, vocabulary = log_probabilities.shape
    groups = vocabulary // GROUP
    if groups * size < count:
        return None
    end = groups * GROUP
    peaks = log_probabilities[:, :, :end].reshape(sources, size, GROUP, groups).max(2)
    joint = (scores[:, :, None] + peaks).reshape(sources, -1)
    bounds: Floats = np.partition(joint, -count, axis=1)[:, -count]
    return bounds if np.isfinite(bounds).all() else None


def _check(max_length: int, beam_size: int, n_best: int, length_penalty: float) -> None:
    for name, value in (("max_length", max_length), ("beam_size", beam_size), ("n_best", n_best)):
        if value < 1:
            raise UsageError(f"{name}: got {value}, wanted at least 1")
    if n_best > beam_size:
        raise UsageError(f"n_best: got {n_best}, wanted at most the beam's size ({beam_size})")
    if not 0.0 <= length_penalty < np.inf:
        raise UsageError(f"length_penalty: got {length_penalty}, wanted a number from 0")
