"""The Theta method (Assimakopoulos & Nikolopoulos 2000), as exponential smoothing with drift (Hyndman & Billah 2003).

    (1)  ŷ_{o+h} = s_{o+h} · (ℓ_o + b (h − 1 + (1 − (1 − α)^o) / α))
    (2)  ℓ_t = α y_t / s_t + (1 − α) ℓ_{t-1}

b is half the slope of a line through the training part. The factors s repeat each season, and are all 1 without a
season; a series with values at or below 0 has summands in place of factors. statsmodels estimates α and s.
"""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, Final

import numpy as np

from seriatim.errors import UsageError
from seriatim.models.naive.deadline import Deadline
from seriatim.models.naive.statistical import Fitted, Floats, Ints, StatisticalForecaster, deviation

SHORTEST: Final = 5
"""A series of fewer values is a random walk."""
SMALLEST_ALPHA: Final = 1e-3
CRITICAL: Final = 1.645
"""A season is used if the autocorrelation at its lag is significant at 90 %, as in the M competitions."""


class Theta(StatisticalForecaster):
    """The standard Theta method, with two lines, for each series and channel.

    At the end of the time of a fit, the series that are left get the α of the series before.
    """

    arrays: ClassVar = {"deviation": 1, "alpha": 1, "drift": 1, "start": 1, "multiplies": 1, "seasons": 2}
    """``start`` is ℓ before the first value, and ``multiplies`` is 1 for seasonal factors, 0 for summands."""

    def __init__(self, season: int = 1) -> None:
        super().__init__()
        if season < 1:
            raise UsageError(f"season: got {season}, wanted at least 1")
        self.season = season
        self._last_alpha: float | None = None

    def _estimate(self, values: Floats, deadline: Deadline) -> Fitted:
        channels = [self._fit_channel(channel, deadline) for channel in values.T]
        fitted: Fitted = {name: np.array([channel[name] for channel in channels]) for name in channels[0]}
        if len(values) > 1:
            ahead = self._mean(fitted, values, np.arange(1, len(values)), 1)[:, 0]
            return {**fitted, "deviation": deviation(values[1:] - ahead, lost=0)}
        return {**fitted, "deviation": np.zeros(values.shape[1])}

    def _fit_channel(self, y: Floats, deadline: Deadline) -> dict[str, Any]:
        multiplies = bool((y > 0).all())
        neutral = 1.0 if multiplies else 0.0
        seasons = np.full(self.season, neutral)
        if self.season > 1 and len(y) > 2 * self.season and _is_seasonal(y, self.season):
            seasons = _seasons(y, self.season, multiplies)
        repeated = np.resize(seasons, len(y))
        adjusted = y / repeated if multiplies else y - repeated
        alpha, drift = 1.0, 0.0
        if len(y) >= SHORTEST and np.ptp(adjusted) > 0:
            if self._last_alpha is not None and deadline.has_passed():
                self._was_cut = True
            else:
                self._last_alpha = _smoothing(adjusted)
            alpha = self._last_alpha
            drift = float(np.polyfit(np.arange(len(adjusted)), adjusted, 1)[0]) / 2
        return {
            "alpha": alpha,
            "drift": drift,
            "start": float(adjusted[0]),
            "multiplies": float(multiplies),
            "seasons": seasons,
        }

    def _mean(self, fitted: Fitted, values: Floats, origins: Ints, horizon: int) -> Floats:
        from scipy.signal import lfilter  # slow to import

        steps = np.arange(1, horizon + 1)
        mean = np.empty((len(origins), horizon, values.shape[1]))
        for channel in range(values.shape[1]):
            alpha, drift, start = (float(fitted[name][channel]) for name in ("alpha", "drift", "start"))
            seasons, multiplies = fitted["seasons"][channel], fitted["multiplies"][channel] > 0
            past = np.resize(seasons, len(values))
            adjusted = values[:, channel] / past if multiplies else values[:, channel] - past
            levels, _ = lfilter([alpha], [1.0, alpha - 1.0], adjusted, zi=[(1 - alpha) * start])  # (2)
            shift = (1 - (1 - alpha) ** origins) / alpha - 1
            line = levels[origins - 1][:, None] + drift * (steps + shift[:, None])  # (1)
            future = seasons[(origins[:, None] + steps - 1) % self.season]
            mean[:, :, channel] = line * future if multiplies else line + future
        return mean

    def _weights(self, fitted: Fitted, horizon: int) -> Floats:
        weights = np.repeat(fitted["alpha"][None], horizon, axis=0)
        weights[0] = 1.0
        return weights

    def _slope_variance(self, origins: Ints) -> Floats:
        return np.zeros(len(origins))

    def _reach(self, fitted: Fitted) -> int:
        return 1

    @property
    def parameters_count(self) -> int:
        """α, b, σ, the start and the season of each series and channel."""
        self._require_fit()
        return sum(array.size for name, array in self._series.items() if name != "multiplies")


def _smoothing(y: Floats) -> float:
    """Return α of a series without a season."""
    from statsmodels.tsa.forecasting.theta import ThetaModel

    scale = float(np.abs(y).max())
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            alpha = float(ThetaModel(y / scale, deseasonalize=False).fit(disp=False).params["alpha"])
        except (ValueError, np.linalg.LinAlgError):
            return 1.0
    return float(np.clip(alpha, SMALLEST_ALPHA, 1.0)) if np.isfinite(alpha) else 1.0


def _is_seasonal(y: Floats, season: int) -> bool:
    """Return whether the autocorrelation of y [T] at lag m is significant."""
    from statsmodels.tsa.stattools import acf

    if np.ptp(y) == 0:
        return False
    correlation = acf(y, nlags=season, fft=True)
    limit = CRITICAL * np.sqrt((1 + 2 * np.square(correlation[1:season]).sum()) / len(y))
    return bool(abs(correlation[season]) > limit)


def _seasons(y: Floats, season: int, multiplies: bool) -> Floats:
    """Return the seasonal factors or summands of y [T], which has at least two seasons, [m]."""
    from statsmodels.tsa.seasonal import seasonal_decompose

    model = "multiplicative" if multiplies else "additive"
    seasons: Floats = np.asarray(seasonal_decompose(y, model=model, period=season).seasonal[:season], np.float64)
    return seasons
