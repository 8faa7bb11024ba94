"""Dependence of data on their past, by lag: mutual information and autocorrelation.

Mutual information of two values k steps apart, in bits, estimated from counts (Shannon 1948) with the correction of
its bias by Miller (1955) and Madow:

    I(k) = Σ p(a, b) log2 [p(a, b) / (p(a) p(b))] - (K_ab - K_a - K_b + 1) / (2 n ln 2)      (1)

K are the numbers of values (pairs) that occur, n the number of pairs. For numbers, the Gaussian copula (Ince 2017):
values are replaced by the normal quantiles of their ranks, and with their correlation ρ

    I(k) = -½ log2(1 - ρ²)                                                                   (2)

which is exact for a Gaussian process and a lower bound otherwise.

A measure of pairs misses information that only several past values have together: a parity of k bits has none at any
lag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Array = NDArray[Any]

MOST_SYMBOLS = 64
"""Symbols beyond the commonest are counted as one: the information can only become smaller by this."""
SHUFFLES = 20
NULL_LAGS = 8
MARGIN = 2.0
"""Of the band, in bits. Small bits go with the square of a correlation, so for correlations it is the root."""


@dataclass(frozen=True)
class LagInformation:
    """A dependence by lag, with the band that data without dependence stay in."""

    lags: NDArray[np.int64]
    values: Floats
    """At each lag: bits, or correlations."""
    band: float
    """A bound for data without order: the largest value in shuffled data, with a margin. It is taken over ``SHUFFLES``
    shuffles at ``NULL_LAGS`` lags; with the margin, data without order stay below it at all of some 150 lags in about
    95 % of cases."""
    least: float = 0.0
    """Values below this are too small to be worth remembering."""

    def horizon(self, share: float = 0.01) -> float:
        """Return the last lag at which the data depend on their past: the value is above the band and above ``share``
        of the largest value. 0 if there is none."""
        sizes = np.abs(self.values)
        floor = max(self.band, self.least, share * float(sizes.max(initial=0.0)))
        above = self.lags[sizes > floor]
        return float(above.max()) if len(above) else 0.0

    @property
    def is_censored(self) -> bool:
        """Whether the longest lag that was measured still depends."""
        return bool(len(self.lags)) and self.horizon() == float(self.lags[-1])


def default_lags(longest: int, dense: int = 64, count: int = 160) -> NDArray[np.int64]:
    """Return lags from 1 to ``longest``: all of them up to ``dense``, then geometrically spaced.

    >>> default_lags(5).tolist()
    [1, 2, 3, 4, 5]
    """
    if longest <= dense:
        return np.arange(1, longest + 1)
    spaced = np.geomspace(dense, longest, max(count - dense, 2)).round().astype(np.int64)
    together: NDArray[np.int64] = np.unique(np.concatenate([np.arange(1, dense + 1), spaced]))
    return together


def symbol_information(series: Sequence[Array], lags: Sequence[int] | Array, *, seed: int = 0) -> LagInformation:
    """Return the mutual information in bits by lag of sequences of symbols, [T] integers each; equation (1).

    >>> flips = np.cumsum(np.random.default_rng(0).random(100_000) < 0.1) % 2
    >>> symbol_information([flips], [1]).values.round(2)
    array([0.53])
    """
    merged = most_common(series)
    symbols = 1 + max(int(part.max(initial=0)) for part in merged)

    def bits(earlier: Array, later: Array) -> float:
        return plug_in_bits(earlier, later, symbols)

    return _by_lag(merged, np.asarray(lags, np.int64), bits, seed)


def plug_in_bits(earlier: Array, later: Array, symbols: int) -> float:
    """Return equation (1) for two arrays [n] of symbols below ``symbols``; 0 for no pairs."""
    count = len(earlier)
    if not count:
        return 0.0
    pairs = np.bincount(earlier.astype(np.int64) * symbols + later, minlength=symbols * symbols)
    joint = pairs.reshape(symbols, symbols) / count
    rows, columns = joint.sum(1), joint.sum(0)
    occurs = joint > 0
    ratio = joint[occurs] / (rows[:, None] * columns)[occurs]
    free = int(occurs.sum()) - int((rows > 0).sum()) - int((columns > 0).sum()) + 1
    return float((joint[occurs] * np.log2(ratio)).sum()) - free / (2 * count * math.log(2))


def number_information(series: Sequence[Array], lags: Sequence[int] | Array, *, seed: int = 0) -> LagInformation:
    """Return the mutual information in bits by lag of series of numbers, [T] each; equation (2)."""
    return _by_lag([normal_scores(part) for part in series], np.asarray(lags, np.int64), _copula_bits, seed)


def autocorrelation(series: Sequence[Array], lags: Sequence[int] | Array, *, seed: int = 0) -> LagInformation:
    """Return the correlation of values that are k steps apart, for series of numbers [T] each."""
    return _by_lag(
        [np.asarray(part, np.float64) for part in series], np.asarray(lags, np.int64), correlation, seed, MARGIN**0.5
    )


def partial_autocorrelation(series: Sequence[Array], longest: int, *, seed: int = 0) -> LagInformation:
    """Return the partial autocorrelation of series of numbers at lags 1 … ``longest`` (Durbin 1960).

    At lag k it is the correlation of values k steps apart, given all values between: the gain of a linear model by one
    more lag. Of AR(p) it is 0 beyond p, where the autocorrelation does not end. Values below 0.1 do not count in the
    horizon: they explain less than 1 % of what is left.

    >>> partial_autocorrelation([np.sin(np.arange(400.0))], 2).values.round(1).tolist()
    [0.5, -1.0]
    """
    series = [np.asarray(part, np.float64) for part in series]
    generator = np.random.default_rng(seed)
    largest = 0.0
    for _ in range(SHUFFLES):
        shuffled = [generator.permutation(part) for part in series]
        largest = max(largest, float(np.abs(_partial(_pooled(shuffled, min(NULL_LAGS, longest)))).max(initial=0.0)))
    return LagInformation(np.arange(1, longest + 1), _partial(_pooled(series, longest)), MARGIN**0.5 * largest, 0.1)


def autoregressive_order(series: Sequence[Array], longest: int) -> int:
    """Return the order p ≤ ``longest`` of an autoregression that BIC chooses (Schwarz 1978), from the same recursion.

    With n values it is the p of the least n ln σ²_p + p ln n, where σ²_p is the product of 1 - φ_k² up to p.

    >>> autoregressive_order([np.random.default_rng(0).standard_normal(1000)], 20)
    0
    """
    series = [np.asarray(part, np.float64) for part in series]
    count = sum(map(len, series))
    log_variances = np.cumsum(np.log(np.maximum(1 - _partial(_pooled(series, longest)) ** 2, 1e-12)))
    criterion = np.concatenate([[0.0], count * log_variances + np.arange(1, longest + 1) * np.log(count)])
    return int(np.argmin(criterion))


def _pooled(series: Sequence[Array], longest: int) -> Floats:
    """The autocorrelation at lags 0 … ``longest`` of all series together, each about its own mean."""
    sums = np.zeros(longest + 1)
    for part in series:
        centred = part - part.mean()
        size = 1 << (2 * len(centred) - 1).bit_length()
        power = np.abs(np.fft.rfft(centred, size)) ** 2
        products = np.fft.irfft(power, size)[: longest + 1]
        sums[: len(centred)] += products[: len(centred)]
    pooled: Floats = sums / sums[0] if sums[0] > 0 else np.eye(1, longest + 1)[0]
    return pooled


def _partial(correlations: Floats) -> Floats:
    """Durbin's recursion: correlations at lags 0 … K → partial ones at 1 … K."""
    partial = np.zeros(len(correlations) - 1)
    weights = np.zeros(0)
    variance = 1.0
    for lag in range(1, len(correlations)):
        if variance < 1e-10:
            break
        reflection = (correlations[lag] - weights @ correlations[lag - 1 : 0 : -1]) / variance
        weights = np.concatenate([weights - reflection * weights[::-1], [reflection]])
        variance *= 1 - reflection * reflection
        partial[lag - 1] = reflection
    return partial


def correlation(earlier: Array, later: Array) -> float:
    """Return Pearson's correlation; 0 where one side is constant or there are fewer than 3 pairs."""
    if len(earlier) < 3:
        return 0.0
    a, b = earlier - earlier.mean(), later - later.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / scale if scale > 0 else 0.0


def normal_scores(values: Array) -> Floats:
    """Return the normal quantiles of the ranks of values [T]; equal values get their mean rank."""
    values = np.asarray(values, np.float64)
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return _normal_quantile(ranks / (len(values) + 1))


def _copula_bits(earlier: Array, later: Array) -> float:
    """Equation (2), less its bias of about 1 / (2 n ln 2)."""
    if len(earlier) < 3:
        return 0.0
    rho = correlation(earlier, later)
    return -0.5 * math.log2(max(1 - rho * rho, 1e-15)) - 1 / (2 * len(earlier) * math.log(2))


def _by_lag(
    series: Sequence[Array],
    lags: NDArray[np.int64],
    measure: Callable[[Array, Array], float],
    seed: int,
    margin: float = MARGIN,
) -> LagInformation:
    values = np.array([measure(*_pairs(series, int(lag))) for lag in lags])
    generator = np.random.default_rng(seed)
    tested_lags = lags[np.unique(np.linspace(0, len(lags) - 1, NULL_LAGS).astype(int))] if len(lags) else lags
    largest = 0.0
    for _ in range(SHUFFLES):
        shuffled = [generator.permutation(part) for part in series]
        largest = max(largest, *(abs(measure(*_pairs(shuffled, int(lag)))) for lag in tested_lags), 0.0)
    return LagInformation(lags, values, margin * largest)


def _pairs(series: Sequence[Array], lag: int) -> tuple[Array, Array]:
    """All pairs that are ``lag`` steps apart within one sequence, the earlier ones first."""
    earlier = [part[:-lag] for part in series if len(part) > lag]
    later = [part[lag:] for part in series if len(part) > lag]
    if not earlier:
        return series[0][:0], series[0][:0]
    return np.concatenate(earlier), np.concatenate(later)


def most_common(series: Sequence[Array], count: int = MOST_SYMBOLS) -> list[Array]:
    """Number symbols by how often they occur; those from ``most`` - 1 on become one."""
    values = np.concatenate([np.asarray(part) for part in series])
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.empty(len(counts), np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    numbered = np.minimum(ranks, count - 1)[places]
    return np.split(numbered, np.cumsum([len(part) for part in series])[:-1])


def _normal_quantile(shares: Floats) -> Floats:
    import torch  # the room has it anyway; NumPy has no inverse error function

    return torch.special.ndtri(torch.from_numpy(shares)).numpy()  # type: ignore[no-any-return]
