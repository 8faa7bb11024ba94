"""Next-step probabilities to a sequence of units: greedy, or drawn with temperature, top-k, top-p and a penalty.

A step function takes the unit that has just come and the state, and gives the log-probabilities of the
unit that follows. Whatever has one (a language model, an n-gram table, an exported network) can be
sampled here, one unit at a time, for as long as is wanted.
"""

from __future__ import annotations

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
    """Draw up to ``length`` units after ``first``, one at a time, as they are asked for.

    ``state`` is the state before ``first``, which itself is not yielded. A unit in ``stop`` ends the
    sequence and is not yielded either. ``repetition_penalty`` counts for the units drawn and those of ``before``,
    see ``penalize_repetition``; see ``probabilities`` for the rest. The same generator state gives the same units.
    Raises ``UsageError`` at once for a value out of range.
    """
    _check(temperature, top_k, top_p)
    if not 0.0 < repetition_penalty < np.inf:
        raise UsageError(f"repetition_penalty: got {repetition_penalty}, wanted more than 0; 1 is off")
    if length < 0:
        raise UsageError(f"length: got {length}, wanted at least 0")

    def units(token: int, state: State) -> Iterator[int]:
        seen = set(context)
        for _ in range(length):
            log_probabilities, state = step(token, state)
            if repetition_penalty != 1.0:
                log_probabilities = penalize_repetition(log_probabilities, seen, repetition_penalty)
            chances = probabilities(log_probabilities, temperature=temperature, top_k=top_k, top_p=top_p)
            token = draw(chances, generator)
            if token in stop:
                return
            seen.add(token)
            yield token

    return units(first, state)


def greedy(step: Step[State], state: State, first: int, length: int, *, stop: Collection[int] = ()) -> Iterator[int]:
    """The likeliest unit at every step, the first of equals; otherwise as ``sample``."""
    return sample(step, state, first, length, temperature=0.0, generator=np.random.default_rng(0), stop=stop)


def probabilities(
    log_probabilities: npt.ArrayLike, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Floats:
    """What a unit is drawn from, float64 [V], summing to one.

    ``log_probabilities`` [V] in nats; they need not be normalised, and -inf rules a unit out.
    ``temperature`` divides them; 0 leaves the likeliest alone. ``top_k`` then keeps the k likeliest
    (0 keeps all), and ``top_p`` the fewest of those whose share is at least p (Holtzman 2020). Of
    equally likely units the first come first.
    Raises ``UsageError`` for values out of range, ``DataError`` for log-probabilities that are no such thing.
    """
    _check(temperature, top_k, top_p)
    logits = np.asarray(log_probabilities, np.float64)
    if logits.ndim != 1 or logits.size == 0:
        raise DataError(f"log_probabilities: got shape {logits.shape}, wanted [V]")
    peak = logits.max()
    if not np.isfinite(peak):  # NaN anywhere makes the maximum NaN
        raise DataError(f"log_probabilities: the largest is {peak}, wanted a finite number")
    if temperature == 0.0:
        chances: Floats = np.zeros(logits.size)
        chances[logits.argmax()] = 1.0
        return chances
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the peak to -inf, which is right
        weights = np.exp((logits - peak) / temperature)
    if 0 < top_k < weights.size or top_p < 1.0:
        likeliest = np.argsort(-logits, kind="stable")[: top_k or None]
        reached = np.cumsum(weights[likeliest])
        kept = likeliest[: 1 + int(np.searchsorted(reached[:-1], top_p * reached[-1]))]
        mask = np.zeros(weights.size, bool)
        mask[kept] = True
        weights = np.where(mask, weights, 0.0)
    chances = weights / weights.sum()
    return chances


def penalize_repetition(log_probabilities: npt.ArrayLike, seen: Collection[int], penalty: float) -> Floats:
    """Make units in ``seen`` less likely: their chance to the power of ``penalty``, not normalised again (Keskar 2019).

    CTRL divides a logit by the penalty, which favours a unit whose logit is negative; taken on log-probabilities, which
    are never positive, it is this product. 1 changes nothing, below 1 units like to come again.
    """
    logits = np.asarray(log_probabilities, np.float64)
    normal: Floats = logits - np.logaddexp.reduce(logits)
    units = np.fromiter(seen, np.int64, len(seen))
    normal[units] *= penalty
    return normal


def draw(chances: Floats, generator: np.random.Generator) -> int:
    """One unit drawn from ``chances`` [V] by inverting their running sum; costs one random number."""
    reached = np.cumsum(chances)
    last = np.flatnonzero(chances)[-1]  # where rounding may not lead past
    return int(np.searchsorted(reached[:last], generator.random() * reached[-1], side="right"))


def _check(temperature: float, top_k: int, top_p: float) -> None:
    if not 0.0 <= temperature < np.inf:
        raise UsageError(f"temperature: got {temperature}, wanted a number from 0")
    if top_k < 0:
        raise UsageError(f"top_k: got {top_k}, wanted at least 1, or 0 for no limit")
    if not 0.0 < top_p <= 1.0:
        raise UsageError(f"top_p: got {top_p}, wanted more than 0 and at most 1")
