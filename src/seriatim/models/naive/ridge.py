"""Ridge regression on a table of features, with the penalty chosen on the validation part.

Features have mean 0 and deviation 1. The library is scikit-learn's ``Ridge``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, final

import numpy as np

from seriatim.models.naive.deadline import SHORTEST, Deadline, joined, shortened
from seriatim.notation import QUANTILES

Array = np.ndarray[Any, Any]

PENALTIES: Final = tuple(10.0**power for power in (2, 1, 3, 0, 4, -1, 5))
"""Candidates, in the order in which they are tried."""
FEWEST_ROWS: Final = 256
"""Rows that are fitted in any case; by their time the others are chosen."""
TEMPERATURES: Final = tuple(2.0 ** (power / 2) for power in range(-4, 13))
"""Candidate factors that turn outputs into probabilities of classes; the best on the validation part is used."""


class _Ridge:
    """A linear map of standardized features."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self.mean: Array = np.zeros(0)
        self.scale: Array = np.ones(0)
        self.weights: Array = np.zeros((0, outputs))
        self.constants: Array = np.zeros(outputs)

    def standardize(self, features: Array) -> Array:
        """Learn the features' mean and deviation, and return standardized features [N, F]."""
        features = features.astype(np.float64)
        self.mean, self.scale = features.mean(0), features.std(0)
        self.scale[self.scale < 1e-9] = 1.0
        result: Array = (features - self.mean) / self.scale
        return result

    def solve(self, standardized: Array, targets: Array, penalty: float) -> None:
        """Fit weights [F, K] to standardized features [N, F] and targets [N, K]."""
        from sklearn.linear_model import Ridge

        model = Ridge(alpha=penalty).fit(standardized, targets)
        self.weights = np.asarray(model.coef_).reshape(self.outputs, -1).T.copy()
        self.constants = np.asarray(model.intercept_, np.float64).reshape(self.outputs)

    def choose(self, features: Array, targets: Array, loss: Callable[[], float], deadline: Deadline) -> str:
        """Fit to features [N, F] and targets [N, K] with the penalty after which ``loss`` is smallest.

        If the time does not allow all rows, a random part of them is fitted; if it does not allow all penalties, the
        middle ones are tried. Returns both in words; empty if it was all.
        """
        standardized = self.standardize(features)
        self.solve(standardized[:2], targets[:2], PENALTIES[0])  # imports the library, which is not to be measured
        count = self._affordable_rows(standardized, targets, deadline)
        rows = np.sort(np.random.default_rng(0).permutation(len(targets))[:count])
        standardized, targets = (
            (standardized, targets) if count == len(targets) else (standardized[rows], targets[rows])
        )
        tried: list[tuple[float, Array, Array]] = []
        for penalty in PENALTIES:
            before = deadline.left
            self.solve(standardized, targets, penalty)
            tried.append((loss(), self.weights, self.constants))
            if 2 * deadline.left < before:  # a further one does not fit
                break
        _, self.weights, self.constants = min(tried, key=lambda solution: solution[0])
        return joined(
            shortened(count, len(features), "rows of the regression"),
            shortened(len(tried), len(PENALTIES), "penalties"),
        )

    def _affordable_rows(self, standardized: Array, targets: Array, deadline: Deadline) -> int:
        """Return the number of rows that can be fitted with all penalties, by the speed with a few rows."""
        rows, features = (int(size) for size in standardized.shape)
        if rows <= FEWEST_ROWS:
            return rows
        before = deadline.left
        self.solve(standardized[:FEWEST_ROWS], targets[:FEWEST_ROWS], 1.0)
        seconds = max(before - deadline.left, SHORTEST)

        def work(count: int) -> int:
            return count * features * min(count, features)

        affordable = max(0.0, deadline.left) / len(PENALTIES) / seconds * work(FEWEST_ROWS)
        if work(rows) <= affordable:
            return rows
        few_rows = math.isqrt(int(affordable / features))
        return max(FEWEST_ROWS, few_rows if few_rows <= features else int(affordable / features**2))

    def predict(self, features: Array) -> Array:
        """Return the outputs [N, K]."""
        result: Array = ((features - self.mean) / self.scale) @ self.weights + self.constants
        return result

    def state_dict(self) -> dict[str, Array]:
        return {"mean": self.mean, "scale": self.scale, "weights": self.weights, "constants": self.constants}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if its shapes do not fit together."""
        mean, scale, weights, constants = (state[name] for name in ("mean", "scale", "weights", "constants"))
        if (
            weights.shape != (len(mean), self.outputs)
            or scale.shape != mean.shape
            or constants.shape != (self.outputs,)
        ):
            raise ValueError(f"weights: got {weights.shape}, wanted ({len(mean)}, {self.outputs})")
        self.mean, self.scale, self.weights, self.constants = mean, scale, weights, constants

    @property
    def parameters_count(self) -> int:
        return self.weights.size + self.constants.size


@final
class RidgeClassifier:
    """Ridge regression of ± 1 for each class. A temperature turns the outputs into probabilities."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._ridge = _Ridge(classes)
        self.temperature = 1.0

    def fit(
        self, features: Array, labels: Array, valid_features: Array, valid_labels: Array, deadline: Deadline
    ) -> str:
        """Fit to features [N, F], and choose penalty and temperature by the log-loss of the validation part.

        Returns the part that the time allowed, in words; empty if it was all.
        """
        targets = 2.0 * np.eye(self.classes)[labels] - 1.0
        rows = np.arange(len(valid_labels))

        def losses() -> dict[float, float]:
            outputs = self._ridge.predict(valid_features)
            return {
                temperature: -float(_log_softmax(temperature * outputs)[rows, valid_labels].mean())
                for temperature in TEMPERATURES
            }

        limited_to = self._ridge.choose(features, targets, lambda: min(losses().values()), deadline)
        by_temperature = losses()
        self.temperature = min(by_temperature, key=lambda temperature: by_temperature[temperature])
        return limited_to

    def probabilities(self, features: Array) -> Array:
        """Return the probability of each class [N, K]."""
        result: Array = np.exp(_log_softmax(self.temperature * self._ridge.predict(features)))
        return result

    def state_dict(self) -> dict[str, Array]:
        return {**self._ridge.state_dict(), "temperature": np.array([self.temperature])}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it has other shapes."""
        self._ridge.load_state_dict(state)
        (self.temperature,) = state["temperature"].tolist()

    @property
    def parameters_count(self) -> int:
        return self._ridge.parameters_count + 1


@final
class RidgeRegression:
    """Ridge regression of a number. Quantiles are the prediction plus quantiles of the validation errors."""

    def __init__(self) -> None:
        self._ridge = _Ridge(1)
        self.errors: Array = np.zeros(len(QUANTILES))

    @property
    def features(self) -> int:
        """The number of features."""
        return len(self._ridge.mean)

    def fit(
        self, features: Array, targets: Array, valid_features: Array, valid_targets: Array, deadline: Deadline
    ) -> str:
        """Fit to features [N, F] and targets [N], and choose the penalty by the validation part.

        Returns the part that the time allowed, in words; empty if it was all.
        """

        def errors() -> Array:
            result: Array = valid_targets - self._ridge.predict(valid_features)[:, 0]
            return result

        limited_to = self._ridge.choose(features, targets[:, None], lambda: float(np.square(errors()).mean()), deadline)
        self.errors = np.quantile(errors(), QUANTILES)
        return limited_to

    def predictions(self, features: Array) -> Array:
        """Return the mean and the quantiles [N, 1 + Q]."""
        mean = self._ridge.predict(features)
        return np.concatenate([mean, mean + self.errors], 1)

    def state_dict(self) -> dict[str, Array]:
        return {**self._ridge.state_dict(), "errors": self.errors}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it has other shapes."""
        if state["errors"].shape != self.errors.shape:
            raise ValueError(f"errors: got {state['errors'].shape}, wanted {self.errors.shape}")
        self._ridge.load_state_dict(state)
        self.errors = state["errors"]

    @property
    def parameters_count(self) -> int:
        return self._ridge.parameters_count + self.errors.size


def _log_softmax(logits: Array) -> Array:
    result: Array = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return result
