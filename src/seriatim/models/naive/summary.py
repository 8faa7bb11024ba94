"""Ridge regression on a few numbers about each channel: the strong simple model of numeric sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from seriatim.models.naive.ridge import RidgeRegression

Array = np.ndarray[Any, Any]


@final
class SummaryRegression:
    """Predicts a number from each channel's mean, deviation, extremes, quartiles, last value and slope."""

    def __init__(self) -> None:
        self._regression = RidgeRegression()

    def fit(self, inputs: Sequence[Array], targets: Array, valid_inputs: Sequence[Array], valid_targets: Array) -> None:
        """Fit to sequences [T, C] and targets [N]; the validation part chooses the penalty."""
        self._regression.fit(summaries(inputs), targets, summaries(valid_inputs), valid_targets)

    def predictions(self, inputs: Sequence[Array]) -> Array:
        """Return the mean and the quantiles, [N, 1 + Q]."""
        return self._regression.predictions(summaries(inputs))

    def state_dict(self) -> dict[str, Array]:
        return self._regression.state_dict()

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it does not fit together."""
        self._regression.load_state_dict(state)

    @property
    def channels(self) -> int:
        """The channels of a step."""
        return (self._regression.features - 1) // 10

    @property
    def parameters_count(self) -> int:
        return self._regression.parameters_count


def summaries(inputs: Sequence[Array]) -> Array:
    """Return the summary of each sequence [T, C], float64 [N, 10 C + 1]. The last number is the logarithm of T."""
    return np.stack([_summary(values.astype(np.float64)) for values in inputs])


def _summary(values: Array) -> Array:
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    slope = steps @ values / max(float(steps @ steps), 1.0)
    quartiles = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    mean = values.mean(0)
    last = values[-1]
    return np.concatenate(
        [mean, values.std(0), values.min(0), values.max(0), *quartiles, values[0], last, slope, [np.log(len(values))]]
    )
