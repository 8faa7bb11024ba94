"""Running means and deviations, updated with one number at a time (Welford 1962)."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

LIMIT = 10.0
"""Scaled values are limited to ± this many deviations."""


@dataclass
class Moments:
    """The count and mean of numbers, and the sum of their squared differences from the mean."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Include one more number."""
        self.count += 1
        difference = value - self.mean
        self.mean += difference / self.count
        self.squares += difference * (value - self.mean)

    @property
    def scale(self) -> float:
        """The deviation; 1 if it is 0 or unknown."""
        deviation = math.sqrt(self.squares / self.count) if self.count > 1 else 0.0
        return deviation if deviation > 1e-12 * abs(self.mean) else 1.0

    def standard(self, value: float) -> float:
        """Return ``value`` in deviations from the mean; 0 as long as fewer than two numbers are known."""
        if self.count < 2:
            return 0.0
        return min(max((value - self.mean) / self.scale, -LIMIT), LIMIT)

    def unscale(self, standard: float) -> float:
        """Return the value of a result of ``standard``."""
        return standard * self.scale + self.mean


@dataclass
class RunningScaler:
    """The ``Moments`` of each feature."""

    moments: dict[Hashable, Moments] = field(default_factory=dict)

    def standard(self, name: Hashable, value: float) -> float:
        """Return ``value`` in deviations from the mean of ``name``; 0 for a new name."""
        moments = self.moments.get(name)
        return moments.standard(value) if moments else 0.0

    def add(self, name: Hashable, value: float) -> None:
        """Include one more number of ``name``."""
        self.moments.setdefault(name, Moments()).add(value)

    def statistics(self) -> dict[Hashable, tuple[Any, ...]]:
        """Return the fields of the moments by name, to be stored."""
        return {name: astuple(moments) for name, moments in self.moments.items()}

    @classmethod
    def of(cls, statistics: Mapping[Hashable, tuple[Any, ...]]) -> RunningScaler:
        """Restore the result of ``statistics``."""
        return cls({name: Moments(*values) for name, values in statistics.items()})
