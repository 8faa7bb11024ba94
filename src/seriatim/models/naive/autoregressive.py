"""AR(τ): the next value as a constant plus a weighted sum of the last τ, by least squares.

    (1)  w_t = c + Σ_{j≤τ} φ_j w_{t-j} + ε_t,  ε ~ N(0, σ²)        w = y, or its differences y_t − y_{t-1} (d = 1)
    (2)  BIC = n log(RSS / n) + (τ + 1) log n                      Schwarz 1978
    (3)  y_t = c + Σ_{j≤τ+d} a_j y_{t-j} + ε_t                     1 − Σ a_j Bʲ = (1 − Σ φ_j Bʲ)(1 − B)^d
    (4)  ψ_0 = 1,  ψ_i = Σ_j a_j ψ_{i-j}                           Box & Jenkins 1970: the weights of past shocks

Every series and channel has its own τ and d, with the lowest BIC. All candidates predict the same n values, so that
their BIC can be compared: the values after the first ``max_lags`` + 1. One Gram matrix per d is enough for every τ,
because the Cholesky factor of its leading block is the leading block of its Cholesky factor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from seriatim.errors import UsageError
from seriatim.models.naive.deadline import Deadline
from seriatim.models.naive.statistical import Fitted, Floats, Ints, StatisticalForecaster, deviation
from seriatim.notation import QUANTILES

MAX_LAGS: Final = 48
FEWEST_VALUES: Final = 4
"""A series of fewer values is a random walk."""
ROWS_AT_ONCE: Final = 1 << 14
JITTER: Final = 1e-10
"""Added to the Gram matrix of unit-variance values, per row, so that it has a Cholesky factor."""
MAX_GROWTH: Final = 10.0
"""The largest growth of an equation over as many steps as it was fitted on. Some series do grow."""


class Autoregressive(StatisticalForecaster):
    """AR(τ) with τ lags and d ∈ {0, 1} differences per series and channel, chosen by BIC.

    ``lags`` fixes τ. Otherwise it is at most ``max_lags``, by default two seasons or 24, whichever is more, but never
    above 48. Both are limited to a quarter of the series' length. ``ridge`` ≥ 0 shrinks the weights of the lags: ridge
    · n is added to their diagonal of the Gram matrix, of values with unit variance.

    Candidates that explode are not chosen: those with a root so far outside the unit circle that they grow more than
    tenfold over the length of the training part. A series of fewer than 4 values is a random walk. A history that is
    too short is extended into the past with its first value.

    At the end of the time of a fit, the series that are left get the weights of the series before them, and their own
    constant and σ.
    """

    arrays: ClassVar = {"deviation": 1, "constant": 1, "coefficients": 2, "lags": 1, "differences": 1}

    def __init__(
        self, *, season: int = 1, lags: int | None = None, max_lags: int | None = None, ridge: float = 0.0
    ) -> None:
        super().__init__()
        if season < 1:
            raise UsageError(f"season: got {season}, wanted at least 1")
        for name, value in (("lags", lags), ("max_lags", max_lags)):
            if value is not None and value < 1:
                raise UsageError(f"{name}: got {value}, wanted at least 1")
        if not 0 <= ridge < np.inf:
            raise UsageError(f"ridge: got {ridge}, wanted a number from 0")
        self.lags = lags
        self.max_lags = lags or max_lags or min(max(24, 2 * season), MAX_LAGS)
        self.ridge = ridge
        self._last: _Equation | None = None

    @classmethod
    def within(cls, lookback: int, *, season: int, lags: int | None) -> Autoregressive:
        """Return the model with no more lags than a forecast from ``lookback`` values can read."""
        most = cls(season=season, lags=lags).max_lags
        return cls(season=season, max_lags=min(most, max(lookback - 1, 1)))

    def _estimate(self, values: Floats, deadline: Deadline) -> Fitted:
        equations = [self._fit_channel(channel, deadline) for channel in values.T]
        coefficients = np.zeros((len(equations), self.max_lags + 1))
        for row, equation in zip(coefficients, equations, strict=True):
            row[: len(equation.coefficients)] = equation.coefficients
        return {
            "deviation": np.array([equation.deviation for equation in equations]),
            "constant": np.array([equation.constant for equation in equations]),
            "coefficients": coefficients,
            "lags": np.array([float(equation.lags) for equation in equations]),
            "differences": np.array([float(equation.differences) for equation in equations]),
        }

    def _fit_channel(self, y: Floats, deadline: Deadline) -> _Equation:
        """Return the equation of one channel [T]; after the deadline, the last one with its own constant and σ."""
        if self._last is not None and deadline.has_passed():
            self._was_cut = True
            return self._last.with_constant_of(y)
        self._last = self._choose(y)
        return self._last

    def _choose(self, y: Floats) -> _Equation:
        """Return the candidate of lowest BIC that does not explode, for one channel [T]."""
        if len(y) < FEWEST_VALUES:
            return _random_walk(y)
        max_lags = min(self.max_lags, len(y) // 4)
        tables = [_Candidates.of(y, d, max_lags, self.ridge) for d in (0, 1)]
        candidates = sorted(
            (table.bic[lags], d, lags) for d, table in enumerate(tables) for lags in range(max_lags + 1)
        )
        if self.lags is not None:
            candidates.sort(key=lambda candidate: candidate[2] != max_lags)  # those with the option's lags first
        for _, d, lags in candidates:
            solution = tables[d].solution(lags)
            if grows_less_than(MAX_GROWTH ** (1 / tables[d].rows), solution[1:]):
                return tables[d].equation(solution)
        return _random_walk(y)

    def linear(self, series: int | None, history: npt.ArrayLike, horizon: int) -> LinearForecast:
        """Return the forecast of a series as a function of its past, for many calls with the same horizon.

        For a new series (None) the model is fitted on ``history`` [T, C].
        """
        fitted = self._of(series, np.asarray(history, np.float64))
        spread = fitted["deviation"] * np.sqrt(np.cumsum(self._weights(fitted, horizon) ** 2, axis=0))
        return LinearForecast(_iterated(fitted, horizon), spread)

    def _mean(self, fitted: Fitted, values: Floats, origins: Ints, horizon: int) -> Floats:
        return LinearForecast(_iterated(fitted, horizon), np.zeros((horizon, values.shape[1]))).mean(values, origins)

    def _weights(self, fitted: Fitted, horizon: int) -> Floats:
        psi = np.ones((horizon, len(fitted["constant"])))
        for channel, coefficients in enumerate(fitted["coefficients"]):
            psi[1:, channel] = iterate(0.0, _without_tail(coefficients), horizon)[0][:-1, 0]  # (4)
        return psi

    def _slope_variance(self, origins: Ints) -> Floats:
        return np.zeros(len(origins))

    def _reach(self, fitted: Fitted) -> int:
        return max(len(_without_tail(coefficients)) for coefficients in fitted["coefficients"])

    @property
    def parameters_count(self) -> int:
        """τ weights, a constant and σ per series and channel."""
        self._require_fit()
        lags = self._series["lags"]
        return int(lags.sum()) + 2 * lags.size


@dataclass(frozen=True)
class LinearForecast:
    """The forecast of one series for a horizon, as a linear function of its past values."""

    equations: Sequence[tuple[Floats, Floats]]
    """For each channel the weights [horizon, K] of the last K values, latest first, and the constants [horizon]."""
    spread: Floats
    """[horizon, C]: the deviation of the forecast's error."""

    def mean(self, values: Floats, origins: Ints) -> Floats:
        """Return the point forecasts [N, horizon, C] after ``values[:o]`` for each origin o; ``values`` is [T, C]."""
        mean = np.empty((len(origins), *self.spread.shape))
        for channel, (weights, constants) in enumerate(self.equations):
            rows = np.maximum(origins[:, None] - 1 - np.arange(weights.shape[1]), 0)
            mean[:, :, channel] = values[rows, channel] @ weights.T + constants
        return mean

    def quantiles(self, values: Floats, origins: Ints) -> Floats:
        """Return the quantiles [N, horizon, C, Q] after ``values[:o]`` for each origin o; ``values`` is [T, C]."""
        levels = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])
        quantiles: Floats = self.mean(values, origins)[..., None] + self.spread[..., None] * levels
        return quantiles


@dataclass(frozen=True)
class _Equation:
    """The fitted equation of one channel, in the form (3)."""

    lags: int  # τ
    differences: int  # d
    constant: float  # c
    coefficients: Floats  # a, [τ + d] and at least one
    deviation: float  # σ

    def with_constant_of(self, y: Floats) -> _Equation:
        """Return the equation with the c and σ that fit y [T]; a random walk if y is too short."""
        if len(y) < len(self.coefficients) + FEWEST_VALUES:
            return _random_walk(y)
        shocks = np.convolve(y, np.concatenate([[1.0], -self.coefficients]), "valid")
        constant = float(shocks.mean())
        sigma = float(deviation((shocks - constant)[:, None], lost=1)[0])
        return dataclasses.replace(self, constant=constant, deviation=sigma)


def _random_walk(y: Floats) -> _Equation:
    return _Equation(0, 1, 0.0, np.ones(1), float(deviation(np.diff(y)[:, None], lost=0)[0]))


@dataclass(frozen=True)
class _Candidates:
    """Least squares for every τ of one channel and one d, for values w with mean ``centre`` and deviation ``scale``."""

    differences: int
    rows: int  # n
    centre: float
    scale: float
    factor: Floats  # [τ_max + 2, τ_max + 2], lower Cholesky factor of the Gram matrix of (1, w_{t-1}, …, w_{t-τ}, w_t)

    @classmethod
    def of(cls, y: Floats, differences: int, max_lags: int, ridge: float) -> _Candidates:
        w = np.diff(y) if differences else y[1:]  # so that the targets are the same for both
        centre = float(w.mean())
        scale = float(deviation((w - centre)[:, None], lost=0)[0])
        lagged = sliding_window_view((w - centre) / (scale or 1.0), max_lags + 1)[:, ::-1]  # w_t, w_{t-1}, …
        gram = np.zeros((max_lags + 2, max_lags + 2))
        for first in range(0, len(lagged), ROWS_AT_ONCE):
            part = lagged[first : first + ROWS_AT_ONCE]
            block = np.hstack([np.ones((len(part), 1)), part[:, 1:], part[:, :1]])
            gram += block.T @ block
        shrink = np.full(max_lags + 2, JITTER)
        shrink[1:-1] += ridge
        factor = np.linalg.cholesky(gram + len(lagged) * np.diag(shrink))
        return cls(differences, len(lagged), centre, scale, factor)

    @property
    def residual(self) -> Floats:
        """RSS of τ = 0 … τ_max, in units of scale²: squares of the factor's last row, after τ + 1 columns."""
        tail: Floats = np.cumsum(self.factor[-1, :0:-1] ** 2)[::-1]
        return tail

    @property
    def bic(self) -> Floats:
        """(2), for τ = 0 … τ_max."""
        smallest = np.finfo(np.float64).tiny
        log_mean_square = np.log(self.residual / self.rows) + 2 * np.log(max(self.scale, smallest))
        criterion: Floats = self.rows * log_mean_square + np.arange(1, len(self.factor)) * np.log(self.rows)
        return criterion

    def solution(self, lags: int) -> Floats:
        """The constant and φ_1 … φ_τ for centred values of unit deviation, [τ + 1]."""
        leading = self.factor[: lags + 1, : lags + 1]
        solution: Floats = np.linalg.solve(leading.T, self.factor[-1, : lags + 1])
        return solution

    def equation(self, solution: Floats) -> _Equation:
        """The form (3), in the data's own units."""
        phi = solution[1:]
        constant = self.scale * float(solution[0]) + self.centre * (1 - float(phi.sum()))
        polynomial = np.concatenate([[1.0], -phi])
        if self.differences:
            polynomial = np.convolve(polynomial, [1.0, -1.0])
        free = max(1, self.rows - len(solution))
        sigma = self.scale * float(np.sqrt(self.residual[len(phi)] / free))
        return _Equation(len(phi), self.differences, constant, -polynomial[1:], sigma)


def grows_less_than(rate: float, phi: Floats) -> bool:
    """Whether w_t = Σ φ_j w_{t-j}, φ [τ], grows by less than a factor of ``rate`` per step in the long run.

    This is so if v_t = w_t / rateᵗ, whose coefficients are φ_j / rateʲ, decays to 0. Schur (1917): reduce the order
    one by one; each last coefficient, a partial autocorrelation, must be within (-1, 1).
    """
    a = phi / rate ** np.arange(1, len(phi) + 1)
    for last in range(len(a) - 1, -1, -1):
        partial = a[last]
        if not abs(partial) < 1:
            return False
        a = (a[:last] + partial * a[:last][::-1]) / (1 - partial * partial)
    return True


def iterate(constant: float, a: Floats, horizon: int) -> tuple[Floats, Floats]:
    """Return each forecast of y_t = c + Σ a_j y_{t-j}, a [K], as a function of an unknown past.

    The result is the weights [horizon, K] of y_o, y_{o-1}, …, and the constants [horizon].
    """
    reach = len(a)
    rows = np.zeros((reach + horizon, reach + 1))  # oldest first; each is (weights, constant)
    rows[:reach, :reach] = np.eye(reach)[::-1]
    for step in range(reach, reach + horizon):
        rows[step] = a[::-1] @ rows[step - reach : step]
        rows[step, reach] += constant
    return rows[reach:, :reach], rows[reach:, reach]


def _iterated(fitted: Fitted, horizon: int) -> list[tuple[Floats, Floats]]:
    """Return ``iterate`` of each channel."""
    pairs = zip(fitted["constant"], fitted["coefficients"], strict=True)
    return [iterate(constant, _without_tail(coefficients), horizon) for constant, coefficients in pairs]


def _without_tail(coefficients: Floats) -> Floats:
    """Return the weights up to the last one that is not 0, at least one."""
    used = np.flatnonzero(coefficients)
    return coefficients[: max(1, used[-1] + 1 if used.size else 0)]
