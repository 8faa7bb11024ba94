"""The common part of the statistical forecasters: everything that follows from a mean, weights and a deviation.

Each model defines, for one series, a point forecast ŷ_{o+h} from the history before an origin o, the weights ψ of past
shocks in later values, and the deviation σ of a shock. Then (Box & Jenkins 1970; Hyndman & Athanasopoulos 2021, section
5.5)

    (1)  y_{o+h} = ŷ_{o+h} + Σ_{j<h} ψ_j ε_{o+h-j} + h β        ε ~ N(0, σ²), ψ_0 = 1
    (2)  Var(y_{o+h}) = σ² (Σ_{j<h} ψ_j² + h² u)                β ~ N(0, σ² u), the error of an estimated slope

gives quantiles, sampled trajectories and the joint log-probability. Shocks of different channels are
independent of each other.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from seriatim.errors import DataError, UsageError
from seriatim.models.naive.deadline import Deadline, shortened
from seriatim.notation import QUANTILES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Fitted = dict[str, npt.NDArray[Any]]
"""The estimates: ``deviation`` (σ, [C]) and whatever else a model needs, each ``[C]`` or ``[C, K]``."""

SMALLEST_DEVIATION: Final = 1e-9
"""The smallest deviation of a shock in a density, as a share of the series' largest value."""


class StatisticalForecaster(ABC):
    """A forecaster with a closed form, which is fitted to each series separately.

    ``values`` are float [T, C], the targets of one series from its first row on. A forecast from origin o uses
    ``values[:o]`` and nothing later. ``series`` is an index in the list that ``fit`` received. ``None`` means a new
    series, to which the model is fitted when it is called.
    """

    arrays: ClassVar[Mapping[str, int]] = {}
    """The names of the fitted arrays, and the number of axes of each per series (1: [C], 2: [C, K])."""

    def __init__(self) -> None:
        self._series: Fitted = {}
        self._was_cut = False
        """Whether the last estimate used less than it would without a deadline."""

    # Defined by each model

    @abstractmethod
    def _estimate(self, values: Floats, deadline: Deadline) -> Fitted:
        """Fit one series, [T, C] with T ≥ 1. After the deadline this must be quick; it then sets ``_was_cut``."""

    @abstractmethod
    def _mean(self, fitted: Fitted, values: Floats, origins: Ints, horizon: int) -> Floats:
        """Return ŷ, the point forecasts [N, horizon, C]."""

    @abstractmethod
    def _weights(self, fitted: Fitted, horizon: int) -> Floats:
        """Return ψ_0 … ψ_{horizon-1}, [horizon, C]."""

    @abstractmethod
    def _slope_variance(self, origins: Ints) -> Floats:
        """Return u of (2) at each origin, [N]; 0 if no slope is estimated."""

    @abstractmethod
    def _reach(self, fitted: Fitted) -> int:
        """Return the number of past values that the whole model needs."""

    @property
    @abstractmethod
    def parameters_count(self) -> int:
        """The number of estimates, over all series."""

    # The same for all models

    def fit(self, values: Sequence[npt.ArrayLike], *, seconds: float = math.inf) -> str:
        """Fit each series, [T_i, C], on its training part, in about ``seconds``. Replaces an earlier fit.

        Returns what the time allowed, as ``120 of 414 series``, or an empty text if it was enough. The other series
        have estimates that take little time: each model says which.

        Raises ``DataError`` for no series, an empty one, differing channels, or values that are not finite.
        """
        checked = [_series(series, f"values: series {index}") for index, series in enumerate(values)]
        if not checked:
            raise DataError("values: got no series, wanted at least 1")
        for index, series in enumerate(checked):
            if series.shape[1] != checked[0].shape[1]:
                raise DataError(
                    f"values: series {index} has {series.shape[1]} channels, series 0 has {checked[0].shape[1]}"
                )
        deadline, estimates, whole = Deadline(seconds), [], 0
        for series in checked:
            self._was_cut = False
            estimates.append(self._estimate(series, deadline))
            whole += not self._was_cut
        self._series = {name: np.stack([fitted[name] for fitted in estimates]) for name in self.arrays}
        return shortened(whole, len(checked), "series")

    def forecast(self, series: int | None, values: npt.ArrayLike, origins: npt.ArrayLike, horizon: int) -> Floats:
        """Return quantiles at the levels ``notation.QUANTILES``, float64 [N, horizon, C, Q].

        ``origins`` int [N], each in 1 … T: the history of origin o is ``values[:o]``. For a new series the model is
        fitted on the values before the first origin. Each model says what it does with a short history.
        """
        known = _series(values, "values")
        at = _origins(origins, len(known))
        if horizon < 1:
            raise UsageError(f"horizon: got {horizon}, wanted at least 1")
        if at.size == 0:
            return np.empty((0, horizon, known.shape[1], len(QUANTILES)))
        fitted = self._of(series, known[: at.min()])
        steps = np.arange(1, horizon + 1)
        variance = np.cumsum(self._weights(fitted, horizon) ** 2, axis=0) + (  # (2), in units of σ²
            self._slope_variance(at)[:, None, None] * (steps**2)[:, None]
        )
        spread = fitted["deviation"] * np.sqrt(variance)
        levels = np.array([NormalDist().inv_cdf(level) for level in QUANTILES])
        mean = self._mean(fitted, known, at, horizon)
        quantiles: Floats = mean[..., None] + spread[..., None] * levels
        return quantiles

    def log_probability(self, series: int | None, values: npt.ArrayLike) -> float:
        """Return the joint log-density of a series in nats, after the first values that the model needs as its past.

        It is the sum of one-step forecasts over steps and channels; 0 if no value is left to predict. For a new series
        the model is fitted on the same values.
        """
        known = _series(values, "values")
        fitted = self._of(series, known)
        at = np.arange(max(1, self._reach(fitted)), len(known), dtype=np.int64)
        if at.size == 0:
            return 0.0
        floor = SMALLEST_DEVIATION * max(float(np.abs(known).max()), SMALLEST_DEVIATION)
        spread = np.maximum(fitted["deviation"] * np.sqrt(1 + self._slope_variance(at))[:, None], floor)
        shocks = (known[at] - self._mean(fitted, known, at, 1)[:, 0]) / spread
        return float(-0.5 * (shocks**2 + math.log(2 * math.pi)).sum() - np.log(spread).sum())

    def sample(
        self,
        series: int | None,
        history: npt.ArrayLike,
        steps: int,
        generator: np.random.Generator,
        samples: int = 1,
    ) -> Floats:
        """Return trajectories after ``history`` [T, C], float64 [steps, samples, C], by (1)."""
        known = _series(history, "history")
        if steps < 1 or samples < 1:
            raise UsageError(f"steps, samples: got {steps} and {samples}, wanted at least 1 of each")
        fitted = self._of(series, known)
        at = np.array([len(known)])
        shocks = generator.normal(size=(steps, samples, known.shape[1]))
        slopes = generator.normal(size=(samples, known.shape[1])) * np.sqrt(self._slope_variance(at))
        lag = np.subtract.outer(np.arange(steps), np.arange(steps))
        weights = np.where(lag[..., None] >= 0, self._weights(fitted, steps)[np.maximum(lag, 0)], 0.0)
        noise = np.einsum("hjc,jsc->hsc", weights, shocks) + np.arange(1, steps + 1)[:, None, None] * slopes
        paths: Floats = self._mean(fitted, known, at, steps)[0][:, None] + fitted["deviation"] * noise
        return paths

    def state_dict(self) -> dict[str, npt.NDArray[Any]]:
        """Return the fitted arrays, series first: [S, C] or [S, C, K]."""
        self._require_fit()
        return {name: array.copy() for name, array in self._series.items()}

    def load_state_dict(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the result of ``state_dict``.

        Raises ``ValueError`` for names, types, shapes or numbers that no fit gives. The model is unchanged then.
        """
        if set(state) != set(self.arrays):
            raise ValueError(f"state: got {sorted(state)}, wanted {sorted(self.arrays)}")
        series_and_channels = np.shape(state["deviation"])[:2]
        for name, axes in self.arrays.items():
            array = np.asarray(state[name])
            if array.dtype != np.float64 or array.ndim != 1 + axes or array.size == 0:
                raise ValueError(f"{name}: got {array.dtype} of shape {array.shape}, wanted float64, {1 + axes} axes")
            if array.shape[:2] != series_and_channels:
                raise ValueError(f"{name}: got shape {array.shape}, wanted [S, C] = {series_and_channels} first")
            if not np.isfinite(array).all():
                raise ValueError(f"{name}: holds a number that is not finite")
        if (state["deviation"] < 0).any():
            raise ValueError("deviation: holds a number below 0")
        self._series = {name: np.array(state[name], np.float64) for name in self.arrays}

    def _of(self, series: int | None, values: Floats) -> Fitted:
        """Return the estimates of one series; for a new series, estimate from ``values``."""
        if series is None:
            return self._estimate(values, Deadline(math.inf))
        self._require_fit()
        count, channels = self._series["deviation"].shape
        if not 0 <= series < count:
            raise UsageError(f"series: got {series}, wanted 0 to {count - 1}, or None for one never seen")
        if values.shape[1] != channels:
            raise DataError(f"values: got {values.shape[1]} channels, wanted {channels}, as in training")
        return {name: array[series] for name, array in self._series.items()}

    def _require_fit(self) -> None:
        if not self._series:
            raise UsageError("model: not fitted yet; call fit, or load a state")


def deviation(residuals: Floats, lost: int) -> Floats:
    """Return σ [C] of residuals [n, C], minus ``lost`` degrees of freedom for estimates; 0 if none are left."""
    free = len(residuals) - lost
    if free < 1:
        return np.zeros(residuals.shape[1])
    size = np.abs(residuals).max(axis=0)
    unit = residuals / np.where(size > 0, size, 1.0)  # so that no square overflows
    spread: Floats = size * np.sqrt((unit**2).sum(axis=0) / free)
    return spread


def _series(values: npt.ArrayLike, name: str) -> Floats:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.size == 0:
        raise DataError(f"{name}: got shape {array.shape}, wanted [T, C] with at least 1 row")
    if not np.isfinite(array).all():
        row, channel = np.argwhere(~np.isfinite(array))[0]
        raise DataError(f"{name}: row {row + 1}, channel {channel + 1}: {array[row, channel]} is not a finite number")
    return array


def _origins(origins: npt.ArrayLike, length: int) -> Ints:
    array = np.asarray(origins)
    if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
        raise UsageError(f"origins: got {array.dtype} of shape {array.shape}, wanted whole numbers [N]")
    if array.size and (array.min() < 1 or array.max() > length):
        wrong = array[(array < 1) | (array > length)][0]
        raise UsageError(f"origins: got {wrong}, wanted 1 to {length}, the rows there are")
    return array.astype(np.int64)
