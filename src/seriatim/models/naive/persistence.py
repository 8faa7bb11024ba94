"""Forecasts that repeat the past: the last value, the last season, or the last value plus the average change.

Equations and normal-theory intervals: Hyndman & Athanasopoulos (2021), sections 5.2 and 5.5. The point forecast uses
the history before each origin. σ comes from the one-step residuals of the training part.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from seriatim.errors import UsageError
from seriatim.models.naive.deadline import Deadline
from seriatim.models.naive.statistical import Fitted, Floats, Ints, StatisticalForecaster, deviation


class Naive(StatisticalForecaster):
    """Repeats the last value: ŷ_{o+h} = y_o, σ_h = σ √h."""

    arrays: ClassVar = {"deviation": 1}

    def _estimate(self, values: Floats, deadline: Deadline) -> Fitted:
        return {"deviation": deviation(np.diff(values, axis=0), lost=0)}

    def _mean(self, fitted: Fitted, values: Floats, origins: Ints, horizon: int) -> Floats:
        return np.repeat(values[origins - 1][:, None], horizon, axis=1)

    def _weights(self, fitted: Fitted, horizon: int) -> Floats:
        return np.ones((horizon, len(fitted["deviation"])))

    def _slope_variance(self, origins: Ints) -> Floats:
        return np.zeros(len(origins))

    def _reach(self, fitted: Fitted) -> int:
        return 1

    @property
    def parameters_count(self) -> int:
        """One σ per series and channel."""
        self._require_fit()
        return self._series["deviation"].size


class SeasonalNaive(StatisticalForecaster):
    """Repeats the value of one season ago: σ_h = σ √(k + 1), with k whole seasons between it and the forecast.

    If the history is shorter than one season, the last value is repeated. If the training part is not longer than one
    season, σ comes from the changes between neighbours.
    """

    arrays: ClassVar = {"deviation": 1}

    def __init__(self, season: int) -> None:
        super().__init__()
        if season < 1:
            raise UsageError(f"season: got {season}, wanted at least 1")
        self.season = season

    def _estimate(self, values: Floats, deadline: Deadline) -> Fitted:
        lag = self.season if len(values) > self.season else 1
        return {"deviation": deviation(values[lag:] - values[:-lag], lost=0)}

    def _mean(self, fitted: Fitted, values: Floats, origins: Ints, horizon: int) -> Floats:
        season_ago = origins[:, None] - self.season + np.arange(horizon) % self.season
        rows = np.where(origins[:, None] >= self.season, season_ago, origins[:, None] - 1)
        return values[rows]

    def _weights(self, fitted: Fitted, horizon: int) -> Floats:
        same_phase = np.arange(horizon) % self.season == 0
        return np.repeat(same_phase[:, None].astype(np.float64), len(fitted["deviation"]), axis=1)

    def _slope_variance(self, origins: Ints) -> Floats:
        return np.zeros(len(origins))

    def _reach(self, fitted: Fitted) -> int:
        return self.season

    @property
    def parameters_count(self) -> int:
        """One σ per series and channel."""
        self._require_fit()
        return self._series["deviation"].size


class Drift(StatisticalForecaster):
    """Continues the line through the first and last value of the history: σ_h = σ √(h (1 + h / (o - 1))).

    A history of one value has no slope.
    """

    arrays: ClassVar = {"deviation": 1}

    def _estimate(self, values: Floats, deadline: Deadline) -> Fitted:
        changes = np.diff(values, axis=0)
        slope = changes.mean(axis=0) if len(changes) else np.zeros(values.shape[1])
        return {"deviation": deviation(changes - slope, lost=1)}

    def _mean(self, fitted: Fitted, values: Floats, origins: Ints, horizon: int) -> Floats:
        last = values[origins - 1]
        slope = (last - values[0]) / np.maximum(origins - 1, 1)[:, None]
        line: Floats = last[:, None] + np.arange(1, horizon + 1)[:, None] * slope[:, None]
        return line

    def _weights(self, fitted: Fitted, horizon: int) -> Floats:
        return np.ones((horizon, len(fitted["deviation"])))

    def _slope_variance(self, origins: Ints) -> Floats:
        return np.where(origins > 1, 1 / np.maximum(origins - 1, 1), 0.0)

    def _reach(self, fitted: Fitted) -> int:
        return 2

    @property
    def parameters_count(self) -> int:
        """One σ per series and channel; the slope comes from the history."""
        self._require_fit()
        return self._series["deviation"].size
