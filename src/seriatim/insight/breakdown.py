"""A score by groups of the test part: by class, by length, by frequency, by the time of day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

MOST_GROUPS = 24
"""Groups that a breakdown has at most; the largest ones are kept."""
BINS = 5


@dataclass(frozen=True)
class Group:
    """The mean of a score over the rows of one group."""

    name: str
    mean: float
    error: float
    """Standard error of the mean."""
    count: int


@dataclass(frozen=True)
class Breakdown:
    """A score by groups."""

    title: str
    """The score and what it is grouped by, such as ``accuracy by class``."""
    groups: tuple[Group, ...]


def by_group(title: str, values: ArrayLike, groups: ArrayLike, names: Sequence[str]) -> Breakdown:
    """Average values [N] over the rows of each group; ``groups`` [N] are indices of ``names``. The order is kept.

    >>> by_group("error by class", [1.0, 3.0, 5.0], [0, 0, 1], ["a", "b"]).groups[0]
    Group(name='a', mean=2.0, error=1.0, count=2)
    """
    scores, numbers = np.asarray(values, np.float64), np.asarray(groups, np.int64)
    counts = np.bincount(numbers, minlength=len(names))
    largest = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
    result = []
    for number in sorted(largest[counts[largest] > 0].tolist()):
        rows = scores[numbers == number]
        error = float(rows.std(ddof=1) / len(rows) ** 0.5) if len(rows) > 1 else 0.0
        result.append(Group(names[number], float(rows.mean()), error, len(rows)))
    return Breakdown(title, tuple(result))


def by_size(title: str, values: ArrayLike, sizes: ArrayLike) -> Breakdown | None:
    """The same for groups of similar ``sizes`` [N], bounded by their quantiles; None where all sizes are equal.

    >>> [group.name for group in by_size("error by length", [0.0, 1.0, 2.0, 3.0], [3, 3, 8, 9]).groups]
    ['3', '8', '9']
    """
    measured = np.asarray(sizes, np.float64)
    if not len(measured) or measured.min() == measured.max():
        return None
    edges = np.unique(np.quantile(measured, np.arange(1, BINS) / BINS, method="lower"))
    groups = np.searchsorted(edges, measured, side="left")
    names = []
    for number in range(len(edges) + 1):
        part = measured[groups == number]
        low, high = (part.min(), part.max()) if len(part) else (0.0, 0.0)
        names.append(_size(low) if low == high else f"{_size(low)} to {_size(high)}")
    return by_group(title, values, groups, names)


def _size(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
