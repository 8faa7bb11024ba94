"""Measures of data: the information in labels, periods, leaks, constant columns and repeated rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.insight.information import (
    MARGIN,
    NULL_LAGS,
    SHUFFLES,
    LagInformation,
    correlation,
    most_common,
    plug_in_bits,
)

Array = NDArray[Any]
Floats = NDArray[np.float64]

BINS = 8
"""Into which numbers are sorted, by their quantiles, where they are compared with labels."""


@dataclass(frozen=True)
class Leak:
    """A covariate that knows the target's future."""

    name: str
    lead: int
    """Steps by which the covariate is ahead."""
    correlation: float
    """Of the covariate now and the target ``lead`` steps later."""
    own_correlation: float
    """The largest correlation of the target's own past with it."""


@dataclass(frozen=True)
class DataMeasures:
    """The measures of a training part."""

    information: LagInformation | None = None
    """The dependence that the data's horizon is read from: for symbols the information that a lag adds to a nearer one,
    for numbers the partial autocorrelation."""
    curves: Mapping[str, LagInformation] = field(default_factory=dict)
    """Other dependences by lag, by their names."""
    order: int = 0
    """Of numbers: the order of an autoregression that BIC chooses."""
    measure: str = "information in bits"
    """The name of ``information``."""
    constant: tuple[str, ...] = ()
    """Input columns with one value throughout."""
    period: int | None = None
    """The strongest period of the target, in steps; None where there is none, or none was looked for."""
    season_strength: Mapping[int, float] = field(default_factory=dict)
    """Autocorrelation, less a linear trend, at the period and at the season that was given."""
    leaks: tuple[Leak, ...] = ()
    repeated: int = 0
    """Rows of the test part that are rows of the training part."""
    test_rows: int = 0


def label_information(
    sequences: Sequence[Array], labels: Array, lags: Sequence[int] | Array, *, seed: int = 0
) -> LagInformation:
    """Return the bits that the step ``lag`` before the end of a sequence says about its label, for each lag.

    Sequences are [T] integers (symbols), or [T, C] numbers: of several channels the best one counts. Numbers are sorted
    into ``BINS`` bins by their quantiles. The band is from labels in random order.
    """
    lags = np.asarray(lags, np.int64)
    numbered = np.unique(labels, return_inverse=True)[1]
    top = int(max(numbered.max(initial=0), 0)) + 1
    lengths = np.array([len(part) for part in sequences])
    by_lag = {int(lag): np.flatnonzero(lengths > lag) for lag in lags}
    symbols_by_lag = [
        {lag: np.array([channel[row][-1 - lag] for row in rows], np.int64) for lag, rows in by_lag.items()}
        for channel in _symbols(sequences)
    ]

    def best(order: Array, lag: int) -> float:
        rows = by_lag[lag]
        if not len(rows):
            return 0.0
        classes = numbered[order[rows]]
        return max(
            plug_in_bits(symbols[lag], classes, max(int(symbols[lag].max()) + 1, top)) for symbols in symbols_by_lag
        )

    same = np.arange(len(labels))
    values = np.array([best(same, int(lag)) for lag in lags])
    generator = np.random.default_rng(seed)
    tested_lags = lags[np.unique(np.linspace(0, len(lags) - 1, NULL_LAGS).astype(int))] if len(lags) else lags
    largest = 0.0
    for _ in range(SHUFFLES):
        order = generator.permutation(same)
        largest = max(largest, *(best(order, int(lag)) for lag in tested_lags), 0.0)
    return LagInformation(lags, values, MARGIN * largest)


def pair_information(
    sources: Sequence[Array], targets: Sequence[Array], lags: Sequence[int] | Array, places: Sequence[int] | Array
) -> LagInformation:
    """Return the bits that the unit ``lag`` before the end of a source says about a unit of the target, for each lag.

    Of the target's units at ``places`` (from 0) the best one counts, and the widest of their bands.
    """
    best: Floats = np.zeros(len(lags))
    band = 0.0
    for place in places:
        rows = [row for row, target in enumerate(targets) if len(target) > place]
        labels = np.array([targets[row][place] for row in rows])
        if len(rows) > 1:
            information = label_information([sources[row] for row in rows], labels, lags)
            best, band = np.maximum(best, information.values), max(band, information.band)
    return LagInformation(np.asarray(lags, np.int64), best, band)


def autocorrelations(values: Array, longest: int) -> Floats:
    """Return the autocorrelation of values [T], less a linear trend, at lags 0 … ``longest``.

    >>> autocorrelations(np.tile([0.0, 1.0, 0.0, -1.0], 50), 4)[[0, 2, 4]].round(1).tolist()
    [1.0, -1.0, 1.0]
    """
    steps = np.arange(len(values), dtype=np.float64)
    detrended = np.asarray(values, np.float64) - np.polyval(np.polyfit(steps, values, 1), steps)
    return np.array([1.0, *(correlation(detrended[:-lag], detrended[lag:]) for lag in range(1, longest + 1))])


def period_of(values: Array, *, weakest: float = 0.3) -> int | None:
    """Return the period of values [T] in steps: the first peak of their autocorrelation that is nearly the highest.

    A peak must rise to ``weakest`` and out of a valley at least 0.2 below it. At least three periods must be there.

    >>> period_of(np.sin(np.arange(200) * 2 * np.pi / 25))
    25
    """
    longest = len(values) // 3
    if longest < 3 or np.ptp(values) == 0:
        return None
    correlations = autocorrelations(values, longest)
    peaks = [
        lag
        for lag in range(2, longest)
        if correlations[lag] >= max(weakest, correlations[lag - 1], correlations[lag + 1])
        and correlations[lag] - correlations[:lag].min() >= 0.2
    ]
    if not peaks:
        return None
    highest = max(correlations[lag] for lag in peaks)
    return next(lag for lag in peaks if correlations[lag] >= 0.9 * highest)


def leaks_of(
    targets: Sequence[Array], covariates: Sequence[Array], names: Sequence[str], leads: int, *, least: float = 0.95
) -> tuple[Leak, ...]:
    """Return the covariates that know the target up to ``leads`` steps ahead.

    ``targets`` [T] and ``covariates`` [T, K] are by series. A covariate leaks if its correlation with a later target is
    above ``least`` and leaves less than a quarter of the variance that the target's own past leaves.
    """
    leaks = []
    for column, name in enumerate(names):
        best: Leak | None = None
        for lead in range(1, leads + 1):
            pairs = [
                (part[:-lead, column], target[lead:])
                for part, target in zip(covariates, targets, strict=True)
                if len(target) > lead + 3
            ]
            if not pairs:
                continue
            ahead = abs(float(np.mean([correlation(*pair) for pair in pairs])))
            own_correlation = abs(
                float(
                    np.mean(
                        [correlation(series[:-lead], series[lead:]) for series in targets if len(series) > lead + 3]
                    )
                )
            )
            if (
                ahead > least
                and 1 - ahead**2 < 0.25 * (1 - own_correlation**2)
                and (best is None or ahead > best.correlation)
            ):
                best = Leak(name, lead, ahead, own_correlation)
        if best:
            leaks.append(best)
    return tuple(leaks)


def constant_columns(values: Sequence[Array], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns [T, C] that have one value throughout."""
    low = np.min([part.min(0) for part in values if len(part)], axis=0)
    high = np.max([part.max(0) for part in values if len(part)], axis=0)
    return tuple(name for name, a, b in zip(names, low, high, strict=True) if a == b)


def repeated_rows(train: Sequence[Array], test: Sequence[Array]) -> int:
    """Count the sequences of ``test`` that are in ``train`` as well."""
    known = {_key(part) for part in train}
    return sum(_key(part) in known for part in test)


def _key(part: Array) -> bytes:
    return repr(part.shape).encode() + np.ascontiguousarray(part).tobytes()


def _symbols(sequences: Sequence[Array]) -> list[list[Array]]:
    """Channel by channel, each sequence as symbols [T]."""
    if sequences[0].ndim == 1:
        return [most_common(sequences)]
    ends = np.cumsum([len(part) for part in sequences])[:-1]
    together = np.concatenate(list(sequences))
    channels = []
    for values in together.T:
        edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS))
        channels.append(np.split(np.searchsorted(edges, values), ends))
    return channels
