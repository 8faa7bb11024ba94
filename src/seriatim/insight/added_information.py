"""Information that an earlier step adds to a nearer one: how far back a model must look.

    I(x_t; x_{t-k} | x_{t-j}) = H(x_{t-k}, x_{t-j}) + H(x_t, x_{t-j}) - H(x_t, x_{t-k}, x_{t-j}) - H(x_{t-j})      (1)

in bits, from counts, each entropy with Miller's correction. j is the lag below k with the most mutual information. In a
text that repeats itself every P units, lags 2 P, 3 P, … have mutual information too, but lag P has it already:
equation (1) gives them none. Information that several nearer steps have together is not subtracted, so a horizon is an
upper bound. The
``SYMBOLS`` - 1 commonest symbols are counted singly, in the first ``STEPS`` steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.insight.information import (
    MARGIN,
    NULL_LAGS,
    SHUFFLES,
    LagInformation,
    most_common,
)

Array = NDArray[Any]

SYMBOLS = 16
STEPS = 200_000


def added_information(series: Sequence[Array], pairs: LagInformation, *, seed: int = 0) -> LagInformation:
    """Return the information that a lag adds to a nearer one, equation (1), at the lags of ``pairs``.

    ``series`` are symbols, [T] integers each, and ``pairs`` is their ``symbol_information``. The value at the first lag
    is the plain information. For the band x_{t-k} is shuffled among equal x_{t-j}.

    >>> from seriatim.insight.information import symbol_information
    >>> text = np.tile(np.random.default_rng(0).integers(0, 4, 7), 300)
    >>> pairs = symbol_information([text], range(1, 30))
    >>> pairs.horizon(), added_information([text], pairs).horizon()
    (29.0, 7.0)
    """
    symbols = _capped(most_common(series, SYMBOLS))
    generator = np.random.default_rng(seed)
    nearer = [int(pairs.lags[np.argmax(pairs.values[:place])]) for place in range(1, len(pairs.lags))]
    values = [float(pairs.values[0])] if len(pairs.lags) else []
    largest = 0.0
    tested = (
        set(np.linspace(1, len(pairs.lags) - 1, NULL_LAGS // 2).astype(int).tolist()) if len(pairs.lags) > 1 else set()
    )
    for place, (lag, near) in enumerate(zip(pairs.lags[1:].tolist(), nearer, strict=True), 1):
        past, between, now = _triples(symbols, lag, near)
        values.append(_conditional_bits(past, now, between))
        if place in tested:
            for _ in range(SHUFFLES):
                largest = max(largest, _conditional_bits(_shuffled_within(past, between, generator), now, between))
    return LagInformation(pairs.lags, np.array(values), MARGIN * largest)


def _capped(series: Sequence[Array]) -> list[Array]:
    """The first sequences, ``STEPS`` steps in all."""
    capped, remaining = [], STEPS
    for part in series:
        capped.append(part[:remaining])
        remaining -= len(capped[-1])
        if remaining <= 0:
            break
    return capped


def _triples(series: Sequence[Array], lag: int, near: int) -> tuple[Array, Array, Array]:
    """x_{t-lag}, x_{t-near} and x_t, for all t that have them."""
    long = [part for part in series if len(part) > lag] or [series[0][:0]]
    return (
        np.concatenate([part[: len(part) - lag] for part in long]),
        np.concatenate([part[lag - near : len(part) - near] for part in long]),
        np.concatenate([part[lag:] for part in long]),
    )


def _conditional_bits(first: Array, second: Array, condition: Array) -> float:
    """I(left; right | given) from counts, with Miller's correction of each entropy."""
    if not len(first):
        return 0.0
    joint = (first * SYMBOLS + second) * SYMBOLS + condition
    return (
        _entropy(first * SYMBOLS + condition)
        + _entropy(second * SYMBOLS + condition)
        - _entropy(joint)
        - _entropy(condition)
    )


def _entropy(symbols: Array) -> float:
    """Entropy in bits from counts, corrected by (K - 1) / (2 n ln 2)."""
    counts = np.bincount(symbols)
    shares = counts[counts > 0] / len(symbols)
    return float(-(shares * np.log2(shares)).sum() + (len(shares) - 1) / (2 * len(symbols) * math.log(2)))


def _shuffled_within(values: Array, groups: Array, generator: np.random.Generator) -> Array:
    """Shuffle values among the places of equal ``groups``."""
    shuffled = np.empty_like(values)
    shuffled[np.argsort(groups, kind="stable")] = values[np.lexsort((generator.random(len(values)), groups))]
    return shuffled
