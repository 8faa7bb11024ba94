"""Samples sequences of units: greedy, or random with temperature, top-k, top-p and a repetition penalty.

A step function takes the last unit and the state, and returns the log-probabilities of the next unit. Anything
with a step function (a language model, an n-gram table, an exported network) can be sampled here, one unit at a time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from seriatim.errors import DataError, UsageError

Floats = npt.NDArray[np.float64]
State = TypeVar("State")


class Step(Protocol[State]):
    """One step of a model over a vocabulary."""

    def __call__(self, token: int, state: State, /) -> tuple[Floats, State]:
        """Read ``token``; return the next unit's log-probabilities [V] and the state after ``token``."""


def sample(
    step: Step[State],
    state: State,
    first: int,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    repetition_penalty: float = 1.0,
    context: Collection[int] = (),
    generator: np.random.Generator,
    stop: Collection[int] = (),
) -> Iterator[int]:
    """Yield up to ``length`` units after ``first``, each drawn on demand.

    ``state`` is the state before ``first``, which is not yielded. A unit in ``stop`` ends the sequence and is not
    yielded either. ``repetition_penalty`` applies to the drawn units and those in ``context``, see
    ``penalize_repetition``; for the other options see ``probabilities``. Equal generator states give equal units.
    Raises ``UsageError`` at once for a value out of range.
    """
    _check(temperature, top_k, top_p)
    if not 0.0 < repetition_penalty < np.inf:
        raise UsageError(f"repetition_penalty: got {repetition_penalty}, wanted more than 0; 1 is off")
    if length < 0:
        raise UsageError(f"length: got {length}, wanted at least 0")

    def units(token: int, state: State) -> Iterator[int]:
        used_units = set(context)
        for _ in range(length):
            log_probabilities, state = step(token, state)
            if repetition_penalty != 1.0:
                log_probabilities = penalize_repetition(log_probabilities, used_units, repetition_penalty)
            token = draw_unit(log_probabilities, generator, temperature=temperature, top_k=top_k, top_p=top_p)
            if token in stop:
                return
            used_units.add(token)
            yield token

    return units(first, state)


def greedy(step: Step[State], state: State, first: int, length: int, *, stop: Collection[int] = ()) -> Iterator[int]:
    """Yield the likeliest unit at each step (of equals the first); otherwise like ``sample``."""
    return sample(step, state, first, length, temperature=0.0, generator=np.random.default_rng(0), stop=stop)


def probabilities(
    log_probabilities: npt.ArrayLike, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Floats:
    """Return the distribution from which a unit is drawn: float64 [V] with sum 1.

    ``log_probabilities`` [V] are in nats, not necessarily normalised; -inf excludes a unit. ``temperature`` divides
    them; 0 keeps only the likeliest unit. ``top_k`` then keeps the k likeliest (0 keeps all), and ``top_p`` the
    smallest set of these whose share is at least p (Holtzman 2020). Ties go to the first unit.
    Raises ``UsageError`` for values out of range, ``DataError`` for invalid log-probabilities.
    """
    _check(temperature, top_k, top_p)
    weights = _weights(log_probabilities, temperature, top_k, top_p)
    distribution: Floats = weights / weights.sum()
    return distribution


def _weights(log_probabilities: npt.ArrayLike, temperature: float, top_k: int, top_p: float) -> Floats:
    """Return ``probabilities`` that are not divided by their sum yet; the largest is 1."""
    logits = np.asarray(log_probabilities, np.float64)
    if logits.ndim != 1 or logits.size == 0:
        raise DataError(f"log_probabilities: got shape {logits.shape}, wanted [V]")
    likeliest = logits.argmax()
    peak = logits[likeliest]
    if not math.isfinite(peak):  # of numbers with NaN among them, NaN is the largest
        raise DataError(f"log_probabilities: the largest is {peak}, wanted a finite number")
    if temperature == 0.0:
        one_hot: Floats = np.zeros(logits.size)
        one_hot[likeliest] = 1.0
        return one_hot
    with np.errstate(over="ignore"):  # a tiny temperature makes all but the peak -inf, as it should
        weights: Floats = np.exp((logits - peak) / temperature)
    if 0 < top_k < weights.size or top_p < 1.0:
        order = np.argsort(-logits, kind="stable")[: top_k or None]
        cumulative = np.cumsum(weights[order])
        likely_units = order[: 1 + int(np.searchsorted(cumulative[:-1], top_p * cumulative[-1]))]
        mask = np.zeros(weights.size, bool)
        mask[likely_units] = True
        weights = np.where(mask, weights, 0.0)
    return weights


def penalize_repetition(log_probabilities: npt.ArrayLike, used_units: Collection[int], penalty: float) -> Floats:
    """Make units in ``seen`` less likely: raise their probability to the power ``penalty``, unnormalised (Keskar 2019).

    CTRL divides a logit by the penalty, which favours a unit with a negative logit. Log-probabilities are never
    positive, so here they are multiplied. 1 changes nothing; below 1 repetition becomes more likely.
    """
    logits = np.asarray(log_probabilities, np.float64)
    normal: Floats = logits - np.logaddexp.reduce(logits)
    units = np.fromiter(used_units, np.int64, len(used_units))
    normal[units] *= penalty
    return normal


def draw_unit(
    log_probabilities: npt.ArrayLike, generator: np.random.Generator, *, temperature: float, top_k: int, top_p: float
) -> int:
    """Draw one unit from ``probabilities``, whose options have been checked; uses one random number."""
    return draw(_weights(log_probabilities, temperature, top_k, top_p), generator)


def draw(distribution: Floats, generator: np.random.Generator) -> int:
    """Draw one unit from ``distribution`` [V] by inversion of its cumulative sum; uses one random number.

    The sum of ``distribution`` need not be 1. A number below 1 times the sum rounds to less than the sum, so the unit
    that is found has a chance above 0.
    """
    cumulative = distribution.cumsum()
    return int(cumulative.searchsorted(generator.random() * cumulative[-1], side="right"))


def _check(temperature: float, top_k: int, top_p: float) -> None:
    if not 0.0 <= temperature < np.inf:
        raise UsageError(f"temperature: got {temperature}, wanted a number from 0")
    if top_k < 0:
        raise UsageError(f"top_k: got {top_k}, wanted at least 1, or 0 for no limit")
    if not 0.0 < top_p <= 1.0:
        raise UsageError(f"top_p: got {top_p}, wanted more than 0 and at most 1")
