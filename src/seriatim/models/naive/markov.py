"""Markov: the n-gram model with interpolated, modified Kneser–Ney smoothing (Chen & Goodman 1999).

With h a context of up to ``order`` units, h' the same without its oldest unit, and c(·) a count:

    (1)  P(w|h) = (c(hw) − D(c(hw))) / c(h·) + γ(h) P(w|h')        the empty context falls back on 1/V
    (2)  γ(h)   = (D1 N1(h·) + D2 N2(h·) + D3 N3(h·)) / c(h·)      N1, N2: units that followed h once, twice;
                                                                   N3: three times or more
    (3)  D1 = 1 − 2Y n2/n1    D2 = 2 − 3Y n3/n2    D3 = 3 − 4Y n4/n3    Y = n1 / (n1 + 2 n2)

n1 … n4 are the numbers of grams of one length with count 1 … 4. Grams of the full length, order + 1, are counted as
they occur. The count of a shorter gram is the number of different units before it, where the start of the stream is one
more unit. If (3) is undefined (a count of counts is 0) or outside (0, i), the discount is i/2. So every unit has a
probability above 0, and they sum to one.

There is one sorted array of grams per length. A gram's key is ``context_id · V + unit``, its id is its index in the
array, and a context is a gram that is one unit shorter. Reading a stream is one binary search per length.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from seriatim.errors import DataError, UsageError
from seriatim.models.naive.deadline import SHORTEST, Deadline, joined, shortened

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_ORDER: Final = 8
MEASURED: Final = 1_000_000
"""Units of a longer stream on which the speed is measured, if there is a deadline."""
MEASURED_ORDERS: Final = 3
"""Orders that are counted on them. So many must fit into half of the time, or the stream is cut."""
NEVER_SEEN: Final = -1
"""The id of a gram that did not occur in training. Each table below ends with an entry for this index."""


class Markov:
    """P(x_t | x_{t-1} … x_{t-n}) by interpolated, modified Kneser–Ney smoothing; ``order`` is n.

    ``Markov.fit`` and ``Markov.choose_order`` make a fitted model. ``Markov()`` is empty until ``load_state_dict``. At
    the start of a stream, after fewer than n units, the context is shorter.
    """

    def __init__(self) -> None:
        self.vocabulary_size = 0
        self._levels: tuple[_Level, ...] = ()
        self.limited_to = ""
        """The part of the fit that its deadline allowed, in words; empty if it was all."""

    @classmethod
    def fit(cls, tokens: npt.ArrayLike, vocabulary_size: int, order: int, deadline: Deadline | None = None) -> Markov:
        """Count the grams of one stream.

        ``tokens`` int [N], each in 0 … V-1; ``order`` 0 (unigram) … 8. ``deadline`` may leave out the beginning of a
        very long stream, and the highest orders. Raises ``UsageError`` for an order or a vocabulary size out of range,
        ``DataError`` for no tokens or tokens outside the vocabulary.
        """
        _check_order(order)
        cuts: list[str] = []
        models = cls._by_order(tokens, vocabulary_size, order, deadline or Deadline(math.inf), cuts)
        highest = deque(models, maxlen=1).pop()
        highest.limited_to = joined(*cuts)
        return highest

    @classmethod
    def choose_order(
        cls,
        train: npt.ArrayLike,
        valid: npt.ArrayLike,
        vocabulary_size: int,
        orders: Collection[int] = range(MAX_ORDER + 1),
        deadline: Deadline | None = None,
    ) -> Markov:
        """Fit on ``train`` and return the order with the lowest perplexity on ``valid``.

        Orders are tried from the lowest. After two in a row that are not better than the best, the others are not
        tried, nor those for which there is no time until ``deadline``; the lowest is always tried. Raises the errors of
        ``fit``.
        """
        if not orders:
            raise UsageError("orders: got none, wanted at least one")
        for order in orders:
            _check_order(order)
        valid_tokens = _units(valid, "valid", vocabulary_size)
        best: Markov | None = None
        lowest, worse = np.inf, 0
        cuts: list[str] = []
        for model in cls._by_order(train, vocabulary_size, max(orders), deadline or Deadline(math.inf), cuts):
            if model.order not in orders:
                continue
            perplexity = model.perplexity(valid_tokens)
            if best is None or perplexity < lowest:
                best, lowest, worse = model, perplexity, 0
            else:
                worse += 1
            if worse == 2:
                break
        assert best is not None
        best.limited_to = joined(*cuts)
        return best

    @classmethod
    def _by_order(
        cls, tokens: npt.ArrayLike, vocabulary_size: int, highest: int, deadline: Deadline, cuts: list[str]
    ) -> Iterator[Markov]:
        """Yield the fitted models of order 0, 1, … ``highest``; each costs one more sort of the stream.

        They end before an order for which there is no time, if it takes as long as the order before it. The parts that
        ``deadline`` allowed are added to ``cuts``.
        """
        if vocabulary_size < 1:
            raise UsageError(f"vocabulary_size: got {vocabulary_size}, wanted at least 1")
        stream = _units(tokens, "tokens", vocabulary_size)
        if stream.size == 0:
            raise DataError("tokens: got none, wanted at least 1")
        count = _affordable(stream, vocabulary_size, deadline)
        cuts.append(shortened(count, stream.size, "units"))
        before = deadline.left
        for order, levels in enumerate(_count(stream[-count:], vocabulary_size)):
            model = cls()
            model.vocabulary_size, model._levels = vocabulary_size, levels
            yield model
            left = deadline.left
            if order == highest or before - left > left:
                cuts.append(shortened(order + 1, highest + 1, "orders"))
                return
            before = left

    @property
    def order(self) -> int:
        """Units of context, n."""
        return len(self._fitted()) - 1

    @property
    def parameters_count(self) -> int:
        """The number of counts: one per distinct gram of each length."""
        return sum(level.counts.size for level in self._fitted())

    def log_probabilities(self, tokens: npt.ArrayLike, history: npt.ArrayLike = ()) -> Floats:
        """Return the natural logarithm of P(x_t | past) for each of ``tokens`` [N], as float64 [N].

        ``history`` is the past of the first token; only its last ``order`` units matter. Raises ``DataError`` for
        tokens outside the vocabulary.
        """
        levels = self._fitted()
        following = _units(tokens, "tokens", self.vocabulary_size)
        past = _units(history, "history", self.vocabulary_size)
        stream = np.concatenate([past[max(0, past.size - self.order) :], following])
        probabilities: Floats = np.full(stream.size, 1 / self.vocabulary_size)
        contexts = np.zeros(stream.size, np.int64)  # the one empty gram, before every position
        for level in levels:
            ids = level.find(contexts, stream, self.vocabulary_size)
            probabilities = level.share[ids] + level.backoff[contexts] * probabilities  # (1)
            contexts = _one_later(ids)
        logarithms: Floats = np.log(probabilities[stream.size - following.size :])
        return logarithms

    def log_probability(self, tokens: npt.ArrayLike, history: npt.ArrayLike = ()) -> float:
        """Return the joint log-probability of ``tokens`` in nats."""
        return float(self.log_probabilities(tokens, history).sum())

    def perplexity(self, tokens: npt.ArrayLike, history: npt.ArrayLike = ()) -> float:
        """Return exp of the mean negative log-probability per unit. Raises ``DataError`` without tokens."""
        logarithms = self.log_probabilities(tokens, history)
        if logarithms.size == 0:
            raise DataError("tokens: got none, wanted at least 1 to measure perplexity")
        return float(np.exp(-logarithms.mean()))

    def step(self, tokens_so_far: npt.ArrayLike) -> Floats:
        """Return the log-probability of every possible next unit, float64 [V], as ``log_probabilities`` computes it."""
        levels, size = self._fitted(), self.vocabulary_size
        past = _units(tokens_so_far, "tokens_so_far", size)
        recent = past[max(0, past.size - self.order) :]
        probabilities = np.full(size, 1 / size)
        contexts = np.zeros(recent.size + 1, np.int64)  # before each recent unit, and before the next one
        for level in levels:
            context = contexts[-1]
            if context == NEVER_SEEN:
                break  # and so is every longer context
            first, last = np.searchsorted(level.keys, [context * size, (context + 1) * size])
            probabilities *= level.backoff[context]
            probabilities[level.keys[first:last] % size] += level.share[first:last]  # (1)
            contexts = np.concatenate([[NEVER_SEEN], level.find(contexts[:-1], recent, size)])
        logarithms: Floats = np.log(probabilities)
        return logarithms

    def advance(self, token: int, state: tuple[int, ...] = ()) -> tuple[Floats, tuple[int, ...]]:
        """Return the log-probabilities [V] of the unit after ``token``, and the next state.

        ``state`` holds the last units before ``token``. This is the step function of ``seriatim.decoding.sampling``.
        """
        past = (*state, token)[-max(1, self.order) :]
        return self.step(past), past

    def state_dict(self) -> dict[str, Ints]:
        """Return the keys and counts for each length of grams."""
        state = {"vocabulary_size": np.array([self.vocabulary_size], np.int64)}
        for length, level in enumerate(self._fitted(), start=1):
            state[f"keys.{length}"] = level.keys[:-1].copy()
            state[f"counts.{length}"] = level.counts.copy()
        return state

    def load_state_dict(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Restore the result of ``state_dict``.

        Raises ``ValueError`` for names, types, shapes or numbers that no fitted model has. The model is unchanged then.
        """
        size = _stored(state, "vocabulary_size")
        if size.size != 1 or size[0] < 1:
            raise ValueError(f"vocabulary_size: got {size}, wanted one number above 0")
        vocabulary_size = int(size[0])
        longest = (len(state) - 1) // 2
        lengths = range(1, longest + 1)
        expected = {"vocabulary_size", *(f"{part}.{length}" for part in ("keys", "counts") for length in lengths)}
        if set(state) != expected or not 1 <= longest <= MAX_ORDER + 1:
            raise ValueError(f"state: got {sorted(state)}, wanted vocabulary_size, keys.1, counts.1, keys.2, …")
        levels: list[_Level] = []
        contexts = 1
        for length in lengths:
            keys, counts = _stored(state, f"keys.{length}"), _stored(state, f"counts.{length}")
            if keys.shape != counts.shape:
                raise ValueError(f"keys.{length} and counts.{length}: got {keys.size} and {counts.size} entries")
            if keys.size and (keys[0] < 0 or keys[-1] >= contexts * vocabulary_size or (np.diff(keys) <= 0).any()):
                raise ValueError(f"keys.{length}: wanted ascending keys of {contexts} contexts × {vocabulary_size}")
            if (counts < 1).any():
                raise ValueError(f"counts.{length}: got {counts.min()}, wanted at least 1")
            levels.append(_Level.of(keys, counts, contexts, vocabulary_size))
            contexts = keys.size
        if levels[0].counts.size == 0:
            raise ValueError("keys.1: got no unit, wanted at least 1")
        self.vocabulary_size, self._levels = vocabulary_size, tuple(levels)

    def _fitted(self) -> tuple[_Level, ...]:
        if not self._levels:
            raise UsageError("model: this Markov is empty; make it with Markov.fit, or load a state")
        return self._levels


@dataclass(frozen=True)
class _Level:
    """The N grams of one length. Their M contexts are the grams that are one unit shorter."""

    keys: Ints  # [N + 1], ascending; the last is larger than any key
    counts: Ints  # [N]
    share: Floats  # [N + 1], first term of (1); the last is 0, for a gram never seen
    backoff: Floats  # [M + 1], γ of (2); 1 for a context that is unknown or has no next unit

    @classmethod
    def of(cls, keys: Ints, counts: Ints, contexts: int, vocabulary_size: int) -> _Level:
        """Compute (1) to (3) from keys [N] and counts [N]."""
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        context = keys // vocabulary_size
        totals = np.bincount(context, counts, contexts)
        freed = np.bincount(context, discounts, contexts)  # the same as D1 N1 + D2 N2 + D3 N3
        backoff = np.divide(freed, totals, out=np.ones(contexts), where=totals > 0)
        share = (counts - discounts) / totals[context]
        beyond = np.iinfo(np.int64).max
        return cls(np.append(keys, beyond), counts, np.append(share, 0.0), np.append(backoff, 1.0))

    def find(self, contexts: Ints, tokens: Ints, vocabulary_size: int) -> Ints:
        """Return the id of each gram (context, token), or ``NEVER_SEEN``."""
        keys = contexts * vocabulary_size + tokens  # below 0 where the context was never seen
        places = np.searchsorted(self.keys, keys)
        return np.where(self.keys[places] == keys, places, NEVER_SEEN).astype(np.int64)


def _count(stream: Ints, vocabulary_size: int) -> Iterator[tuple[_Level, ...]]:
    """Yield the levels of order 0, 1, 2, … without end."""
    lower: tuple[_Level, ...] = ()
    contexts, context_ids = 1, np.zeros(stream.size, np.int64)
    keys, shorter = np.empty(0, np.int64), np.empty(0, np.int64)
    while True:
        inside = np.flatnonzero(context_ids != NEVER_SEEN)
        grams = context_ids[inside] * vocabulary_size + stream[inside]
        distinct = np.unique(grams, return_index=True, return_inverse=True, return_counts=True)
        longer_keys, first, inverse, counts = distinct
        if shorter.size:
            # Each distinct gram is one unit before the gram without its oldest unit.
            predecessors = np.bincount(shorter[inside[first]], minlength=keys.size)
            opening = np.flatnonzero(shorter != NEVER_SEEN)[:1]
            predecessors[shorter[opening]] += 1
            lower = (*lower, _Level.of(keys, predecessors, contexts, vocabulary_size))
            contexts = keys.size
        yield (*lower, _Level.of(longer_keys, counts, contexts, vocabulary_size))
        keys, shorter = longer_keys, np.full(stream.size, NEVER_SEEN, np.int64)
        shorter[inside] = inverse
        context_ids = _one_later(shorter)


def _affordable(stream: Ints, vocabulary_size: int, deadline: Deadline) -> int:
    """Return how many units can be counted until ``deadline``: all, or the last ones of a very long stream."""
    if stream.size <= MEASURED or math.isinf(deadline.seconds):
        return stream.size
    before = deadline.left
    deque(islice(_count(stream[-MEASURED:], vocabulary_size), MEASURED_ORDERS), maxlen=0)
    left = deadline.left
    return min(max(int(MEASURED * left / 2 / max(before - left, SHORTEST)), MEASURED), stream.size)


def _discounts(counts: Ints) -> Floats:
    """Return D of (3) for a count of 0, 1, 2, and 3 or more."""
    n1, n2, n3, n4 = (int((counts == i).sum()) for i in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2) if n1 and n2 else 0.0
    discounts = [0.0]
    for i, (here, above) in enumerate([(n1, n2), (n2, n3), (n3, n4)], start=1):
        estimate = i - (i + 1) * y * above / here if y and here and above else 0.0
        discounts.append(estimate if 0 < estimate < i else i / 2)
    return np.array(discounts)


def _one_later(ids: Ints) -> Ints:
    """Return, for each position, the id of the gram that ends just before it."""
    return np.concatenate([[NEVER_SEEN], ids[:-1]]) if ids.size else ids


def _units(tokens: npt.ArrayLike, name: str, vocabulary_size: int) -> Ints:
    """Return ``tokens`` as an array. Raises ``DataError`` if they are not units of the vocabulary."""
    array = np.asarray(tokens)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"{name}: got {array.dtype} of shape {array.shape}, wanted whole numbers [N]")
    if array.size and (array.min() < 0 or array.max() >= vocabulary_size):
        position = int(np.flatnonzero((array < 0) | (array >= vocabulary_size))[0])
        raise DataError(f"{name}: got {array[position]} at position {position}, wanted 0 to {vocabulary_size - 1}")
    return array.astype(np.int64)


def _check_order(order: int) -> None:
    if not 0 <= order <= MAX_ORDER:
        raise UsageError(f"order: got {order}, wanted 0 to {MAX_ORDER}")


def _stored(state: Mapping[str, npt.NDArray[np.generic]], name: str) -> Ints:
    """One array of a state, or ``ValueError``."""
    if name not in state:
        raise ValueError(f"{name}: missing")
    array = np.asarray(state[name])
    if array.dtype != np.int64 or array.ndim != 1:
        raise ValueError(f"{name}: got {array.dtype} of shape {array.shape}, wanted int64 [N]")
    return array.astype(np.int64)
