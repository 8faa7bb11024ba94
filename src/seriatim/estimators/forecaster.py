"""``SeriatimForecaster``: the task ``forecast`` with scikit-learn's conventions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_consistent_length

from seriatim.errors import ArgumentError
from seriatim.estimators.base import SequenceEstimator
from seriatim.estimators.inputs import read_inputs
from seriatim.estimators.parameters import set_parameters, signature_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from seriatim.estimators.parameters import EstimatorKeywords

ID = "series"
"""The column with the number of each series, where the data are arrays."""
LEVELS = ("0.1", "0.5", "0.9")


class SeriatimForecaster(SequenceEstimator):
    """Forecaster of one or many series, with quantiles: the task ``forecast``.

    Each sample is a series: ``X`` is a 2-D array ``[N, T]``, a 3-D array ``[N, T, C]``, a list of arrays of different
    length, or a frame in which ``target``, ``id`` and ``time`` name the columns (Nixtla's ``unique_id, ds, y`` need no
    names). All channels of arrays are targets. ``y``, if it is passed, holds the next values of each series:
    ``[N, horizon]``, ``[N, horizon, C]``, or ``[N]`` for a horizon of 1.

    The parameters are the options of ``seriatim train forecast --help``, with underscores. None means its default, but
    ``baselines`` is ``none`` by default. ``random_state`` is the seed.

    >>> import numpy as np
    >>> from seriatim.estimators import SeriatimForecaster
    >>> waves = [np.sin(np.arange(60 + 5 * n) / 3 + n) for n in range(4)]
    >>> forecaster = SeriatimForecaster(model="gru", hidden=8, horizon=6, lookback=12, epochs=2).fit(waves)
    >>> forecaster.predict(waves).shape, forecaster.predict_quantiles(waves).shape
    ((4, 6), (4, 6, 3))
    """

    task: ClassVar[str] = "forecast"

    def __init__(self, **options: Unpack[EstimatorKeywords]) -> None:
        set_parameters(self, options)

    __init__.__signature__ = signature_of("forecast")  # type: ignore[attr-defined]

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on the series ``X``, and on the values ``y`` that follow them.

        Raises ``ValueError`` for data that do not fit, and as ``seriatim.train`` does.
        """
        table, options = self._table(X, y, reset=True)
        self._train(table, **options)
        return self

    def predict(self, X: Any) -> Any:
        """Forecast the steps after the end of each series: the medians ``[N, horizon]`` or ``[N, horizon, C]``.

        For a frame the result is a frame, as ``Run.forecast`` returns it.
        """
        run = self.run_
        if hasattr(X, "columns"):
            return run.forecast(X)
        medians: np.ndarray[Any, Any] = self._quantiles(X)[..., LEVELS.index("0.5")]
        return medians

    def predict_quantiles(self, X: Any) -> np.ndarray[Any, Any]:
        """Forecast the 10, 50 and 90 % quantiles: ``[N, horizon, 3]`` or ``[N, horizon, C, 3]``."""
        return self._quantiles(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the negative MASE of the last ``horizon`` steps of each series, or of ``y`` where it is passed.

        It is NaN where MASE is undefined: each series repeats itself exactly.
        """
        run = self.run_
        result = run.evaluate(self._table(X, y, reset=False)[0])
        best = result.get("best", result["model"])
        scored = {result["model"]: result["scores"], **result["baselines"]}
        scores = result["blend"]["scores"] if best == "blend" else scored[best]
        return -float(scores.get("mase", math.nan))

    def _quantiles(self, X: Any) -> np.ndarray[Any, Any]:
        run = self.run_
        rows = list(run.predict(self._table(X, None, reset=False)[0]))
        targets = run.codec.targets
        keys = [key for key in rows[0] if key not in ("id", "step", "time")]
        values = np.array([[[row[key][level] for level in LEVELS] for key in keys] for row in rows])
        quantiles: np.ndarray[Any, Any] = values.transpose(0, 3, 1, 2)  # [N, horizon, C, Q]
        return quantiles[:, :, 0] if len(targets) == 1 else quantiles

    def _table(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, dict[str, Any]]:
        """Return the series as a frame, and the options that name its columns."""
        if hasattr(X, "columns") and (self.target is not None or "unique_id" in list(X.columns)):
            if y is not None:
                raise ArgumentError("y: for arrays; a frame has its last values in its rows")
            return X, {}
        import polars

        values = [_steps(series) for series in read_inputs(self, X, {}, reset=reset).source]
        if y is not None:
            check_consistent_length(X, y)
            values = [_followed(series, future) for series, future in zip(values, y, strict=True)]
        names = [str(number) for number in range(1, values[0].shape[1] + 1)]
        prefix = "fit" if reset else "new"  # a new series has a scale of its own
        ids = [f"{prefix}-{number}" for number, series in enumerate(values, 1) for _ in series]
        joined = np.concatenate(values)
        frame = polars.DataFrame({ID: ids} | {name: joined[:, index] for index, name in enumerate(names)})
        return frame, {"target": tuple(names), "id": ID}


def _steps(series: Any) -> np.ndarray[Any, Any]:
    """Return a series as ``[T, C]``. Raises ``ValueError`` for other shapes and for values that are no numbers."""
    try:
        values = np.asarray(series, np.float64)
    except (TypeError, ValueError):
        raise ValueError("X: a series is not an array of numbers") from None
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or not values.size:
        raise ValueError(f"X: a series of shape {np.shape(series)}, wanted [T] or [T, C]")
    return values


def _followed(series: np.ndarray[Any, Any], future: Any) -> np.ndarray[Any, Any]:
    """Append the next values ``[horizon]``, ``[horizon, C]`` or a single number to a series ``[T, C]``."""
    values = np.asarray(future, np.float64).reshape(-1, series.shape[1])
    return np.concatenate([series, values])
