"""Ridge regression on a few numbers about each channel: the strong simple model of numeric sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from seriatim.models.naive.deadline import Deadline, joined, shortened
from seriatim.models.naive.ridge import RidgeRegression

Array = np.ndarray[Any, Any]

VALID_SHARE: Final = 0.2
SUMMARY_SHARE: Final = 0.6
"""Shares of the time after which the summaries of the validation part, and those of the training part, end."""
AT_ONCE: Final = 100
"""Sequences that are summarized between two looks at the clock."""


@final
class SummaryRegression:
    """Predicts a number from each channel's mean, deviation, extremes, quartiles, last value and slope."""

    def __init__(self) -> None:
        self._regression = RidgeRegression()

    def fit(
        self,
        inputs: Sequence[Array],
        targets: Array,
        valid_inputs: Sequence[Array],
        valid_targets: Array,
        *,
        seconds: float = 60.0,
        seed: int = 0,
    ) -> str:
        """Fit to sequences [T, C] and targets [N] within about ``seconds``; the validation part chooses the penalty.

        Of very many sequences a random part is fitted, as large as the time allows. Returns its size in words; empty
        if it was all.
        """
        deadline = Deadline(seconds)
        draw = np.random.default_rng(seed)
        valid_rows, valid_features = _random_part(valid_inputs, draw, deadline, VALID_SHARE)
        rows, features = _random_part(inputs, draw, deadline, SUMMARY_SHARE)
        regression = self._regression.fit(features, targets[rows], valid_features, valid_targets[valid_rows], deadline)
        return joined(
            shortened(len(rows), len(inputs), "sequences"),
            shortened(len(valid_rows), len(valid_inputs), "validation sequences"),
            regression,
        )

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


def _random_part(
    inputs: Sequence[Array], draw: np.random.Generator, deadline: Deadline, share: float
) -> tuple[Array, Array]:
    """Summarize sequences in a random order until ``share`` of the time has passed.

    Returns their places [M], in rising order, and their summaries [M, F].
    """
    order = draw.permutation(len(inputs))
    done: list[Array] = []
    for start in range(0, len(order), AT_ONCE):
        done.append(summaries([inputs[row] for row in order[start : start + AT_ONCE]]))
        if deadline.has_passed(share):
            break
    features = np.concatenate(done)
    rows = order[: len(features)]
    rising = np.argsort(rows)
    return rows[rising], features[rising]


def _summary(values: Array) -> Array:
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    slope = steps @ values / max(float(steps @ steps), 1.0)
    quartiles = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    mean = values.mean(0)
    last = values[-1]
    return np.concatenate(
        [mean, values.std(0), values.min(0), values.max(0), *quartiles, values[0], last, slope, [np.log(len(values))]]
    )
