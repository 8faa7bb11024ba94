"""Running means and deviations, one number at a time (Welford 1962)."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field

LIMIT = 10.0
"""Deviations: what lies farther out is taken for this."""


@dataclass
class Moments:
    """Count, mean and sum of squared differences from the mean."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Take one more number."""
        self.count += 1
        away = value - self.mean
        self.mean += away / self.count
        self.squares += away * (value - self.mean)

    @property
    def scale(self) -> float:
        """The deviation; 1 while there is none."""
        deviation = math.sqrt(self.squares / self.count) if self.count > 1 else 0.0
        return deviation if deviation > 1e-12 * abs(self.mean) else 1.0

    def standard(self, value: float) -> float:
        """``value`` in deviations from the mean; 0 for the first two numbers, while no deviation is known."""
        if self.count < 2:
            return 0.0
        return min(max((value - self.mean) / self.scale, -LIMIT), LIMIT)

    def back(self, standard: float) -> float:
        """The opposite of ``standard``."""
        return standard * self.scale + self.mean


@dataclass
class RunningScaler:
    """A ``Moments`` for each name."""

    names: dict[Hashable, Moments] = field(default_factory=dict)

    def standard(self, name: Hashable, value: float) -> float:
        """``value`` as ``name`` has been so far."""
        found = self.names.get(name)
        return found.standard(value) if found else 0.0

    def add(self, name: Hashable, value: float) -> None:
        """Take one more number."""
        self.names.setdefault(name, Moments()).add(value)
