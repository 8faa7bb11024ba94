"""Exponential smoothing with additive errors: ETS (Hyndman 2008), chosen by AICc.

    (1)  ŷ_{t|t-1} = ℓ_{t-1} + φ b_{t-1} + s_{t-m},   ε_t = y_t − ŷ_{t|t-1}
    (2)  ℓ_t = ℓ_{t-1} + φ b_{t-1} + α ε_t            level
    (3)  b_t = φ b_{t-1} + β ε_t                      trend; damped if φ < 1, none if b = β = 0
    (4)  s_t = s_{t-m} + γ ε_t                        season; none if s = γ = 0
    (5)  ŷ_{o+h} = ℓ_o + (φ + … + φ^h) b_o + s_{o+h-m⌈h/m⌉}
    (6)  ψ_j = α + β (φ + … + φ^j) + γ [m divides j]

statsmodels' ``ETSModel`` estimates the parameters and the first states. The equations above then run over any history.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from seriatim.errors import UsageError
from seriatim.models.naive.deadline import Deadline
from seriatim.models.naive.statistical import Fitted, Floats, Ints, StatisticalForecaster, deviation

Form = tuple[str | None, bool, str | None]
"""Trend (``add`` or None), whether it is damped, and season (``add`` or None)."""
FORMS: Final[tuple[Form, ...]] = (
    (None, False, None),
    ("add", False, None),
    ("add", True, None),
    (None, False, "add"),
    ("add", False, "add"),
    ("add", True, "add"),
)
SHORTEST: Final = 12
"""A series of fewer values is smoothed with the parameters of a random walk."""
LONGEST: Final = 2000
"""Parameters are estimated on at most so many values, the last ones."""
ITERATIONS: Final = 50
RECENT_SEASONS: Final = 4
"""Without time, σ comes from the errors in so many seasons at the end."""


class ExponentialSmoothing(StatisticalForecaster):
    """ETS with additive errors, trend and season. The form and the parameters are chosen for each series and channel.

    After a third of the time of a fit, only the form that was chosen most often is fitted. At its end the series that
    are left get the parameters of the series before them, and σ from their last values.
    """

    arrays: ClassVar = {"deviation": 1, "parameters": 2, "states": 2, "seasons": 2}
    """``parameters``: α, β, γ, φ. ``states``: the level and the trend before the first value. ``seasons``: [m]."""

    def __init__(self, season: int = 1) -> None:
        super().__init__()
        if season < 1:
            raise UsageError(f"season: got {season}, wanted at least 1")
        self.season = season
        self._chosen: Counter[Form] = Counter()
        self._last: _Candidate | None = None

    def _estimate(self, values: Floats, deadline: Deadline) -> Fitted:
        has_time = self._last is None or not deadline.has_passed()
        fitted = self._with_parameters(values, deadline)
        if has_time:
            errors = self._run(fitted, values)[3]
        else:
            recent = values[-max(SHORTEST, RECENT_SEASONS * self.season) :]
            errors = self._run(self._with_parameters(recent, deadline), recent)[3]
        skipped = min(len(errors) - 1, self.season) if len(errors) > 2 * self.season else 0
        return {**fitted, "deviation": deviation(errors[skipped:], lost=0)}

    def _with_parameters(self, values: Floats, deadline: Deadline) -> Fitted:
        """Return the parameters and the first states of a series [T, C]."""
        channels = [self._fit_channel(channel, deadline) for channel in values.T]
        parameters, states, seasons = (np.stack(arrays) for arrays in zip(*channels, strict=True))
        return {"parameters": parameters, "states": states, "seasons": seasons}

    def _fit_channel(self, y: Floats, deadline: Deadline) -> tuple[Floats, Floats, Floats]:
        """Return α β γ φ, level and trend, and the seasonal states of one channel [T]."""
        if len(y) < SHORTEST or np.ptp(y) == 0:
            return RANDOM_WALK.parameters, np.array([y[0], 0.0]), np.zeros(self.season)
        has_season = self.season > 1 and len(y) >= 2 * self.season
        if self._last is None or not deadline.has_passed():
            forms = [form for form in FORMS if has_season or form[2] is None]
            if self._chosen and deadline.has_passed(1 / 3):
                usual, self._was_cut = self._chosen.most_common(1)[0][0], True
                forms = [usual] if usual in forms else forms[:1]
            self._last = self._best_form(y[-LONGEST:], forms, deadline)
            self._chosen[self._last.form] += 1
        else:
            self._was_cut = True
        trend, _, seasonal = self._last.form
        states, seasons = _first_states(y, self.season if seasonal and has_season else 1, has_trend=trend is not None)
        return self._last.parameters, states, np.resize(seasons, self.season)

    def _best_form(self, y: Floats, forms: Sequence[Form], deadline: Deadline) -> _Candidate:
        """Return the form of lowest AICc. The forms that are not estimated before the deadline are left out."""
        best = _fit(y, self.season, forms[0])
        for form in forms[1:]:
            if deadline.has_passed():
                self._was_cut = True
                break
            best = min(best, _fit(y, self.season, form), key=lambda fit: fit.criterion)
        return best

    def _run(self, fitted: Fitted, values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the levels and trends [T + 1, C] after 0 … T values, the seasonal states [T + m, C], and ε [T, C]."""
        alpha, beta, gamma, phi = fitted["parameters"].T
        steps, season = len(values), self.season
        levels, trends = (np.empty((steps + 1, values.shape[1])) for _ in range(2))
        seasons = np.empty((steps + season, values.shape[1]))
        errors = np.empty_like(values)
        levels[0], trends[0] = fitted["states"].T
        seasons[:season] = fitted["seasons"].T
        for t in range(steps):
            ahead = levels[t] + phi * trends[t]
            errors[t] = error = values[t] - ahead - seasons[t]  # (1)
            levels[t + 1] = ahead + alpha * error  # (2)
            trends[t + 1] = phi * trends[t] + beta * error  # (3)
            seasons[t + season] = seasons[t] + gamma * error  # (4)
        return levels, trends, seasons, errors

    def _mean(self, fitted: Fitted, values: Floats, origins: Ints, horizon: int) -> Floats:
        levels, trends, seasons, _ = self._run(fitted, values[: origins.max()])
        growth = np.cumsum(fitted["parameters"][:, 3] ** np.arange(1, horizon + 1)[:, None], axis=0)  # [H, C]
        phases = origins[:, None] + np.arange(horizon) % self.season
        mean: Floats = levels[origins][:, None] + growth * trends[origins][:, None] + seasons[phases]  # (5)
        return mean

    def _weights(self, fitted: Fitted, horizon: int) -> Floats:
        alpha, beta, gamma, phi = fitted["parameters"].T
        steps = np.arange(1, horizon)[:, None]
        growth = np.cumsum(phi**steps, axis=0) if horizon > 1 else np.zeros((0, len(phi)))
        later = alpha + beta * growth + gamma * (steps % self.season == 0)
        return np.concatenate([np.ones((1, len(phi))), later])  # (6)

    def _slope_variance(self, origins: Ints) -> Floats:
        return np.zeros(len(origins))

    def _reach(self, fitted: Fitted) -> int:
        return 1

    @property
    def parameters_count(self) -> int:
        """α, β, γ, φ, σ and the first states of each series and channel."""
        self._require_fit()
        return sum(array.size for array in self._series.values())


@dataclass(frozen=True)
class _Candidate:
    """One estimated form."""

    criterion: float  # AICc
    form: Form
    parameters: Floats  # α, β, γ, φ


RANDOM_WALK: Final = _Candidate(np.inf, FORMS[0], np.array([1.0, 0.0, 0.0, 1.0]))


def _fit(y: Floats, season: int, form: Form) -> _Candidate:
    """Estimate one form. A random walk with an infinite AICc stands for a form that cannot be estimated."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel  # slow to import

    trend, is_damped, seasonal = form
    scale = float(np.abs(y).max()) or 1.0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model: Any = ETSModel(
                y / scale,
                error="add",
                trend=trend,
                damped_trend=is_damped,
                seasonal=seasonal,
                seasonal_periods=season if seasonal else None,
                initialization_method="heuristic",
            )
            result = model.fit(disp=False, maxiter=ITERATIONS)
            values = dict(zip(result.param_names, result.params, strict=True))
            criterion = float(result.aicc)
        except (ValueError, np.linalg.LinAlgError):
            return RANDOM_WALK
    names = ("smoothing_level", "smoothing_trend", "smoothing_seasonal", "damping_trend")
    defaults = RANDOM_WALK.parameters
    parameters = np.array([float(values.get(name, default)) for name, default in zip(names, defaults, strict=True)])
    usable = np.isfinite(criterion) and np.isfinite(parameters).all()
    return _Candidate(criterion, form, parameters) if usable else RANDOM_WALK


def _first_states(y: Floats, season: int, *, has_trend: bool) -> tuple[Floats, Floats]:
    """Return level and trend before the first value of y [T], and the seasonal states [m], from its first values."""
    seasons = np.zeros(season)
    if season > 1:
        count = min(len(y) // season, 4)
        table = y[: count * season].reshape(count, season)
        slope = float(np.polyfit(np.arange(count), table.mean(1), 1)[0]) / season if count > 1 else 0.0
        seasons = (table - table.mean(1, keepdims=True)).mean(0) - slope * (np.arange(season) - (season - 1) / 2)
    first = min(len(y), 10)
    adjusted = y[:first] - np.resize(seasons, first)
    if not has_trend:
        return np.array([adjusted.mean(), 0.0]), seasons
    slope, level = np.polyfit(np.arange(1, first + 1), adjusted, 1)
    return np.array([level, slope]), seasons
