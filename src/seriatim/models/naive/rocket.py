"""Random convolutions and a ridge regression: ROCKET (Dempster 2020), for numeric sequences and sound.

Each kernel has a random length, dilation, padding, set of channels, weights and constant. Over time it gives two
features: its largest value, and the share of its values above 0. The kernels are never trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from seriatim.models.naive.deadline import SHORTEST, Deadline, joined, shortened
from seriatim.models.naive.ridge import RidgeClassifier, RidgeRegression

Array = np.ndarray[Any, Any]

LENGTHS: Final = (7, 9, 11)
LONGEST: Final = max(LENGTHS)
LARGEST_DILATION: Final = 1 << 20
KERNELS: Final = 2500
FEWEST_KERNELS: Final = 100
ROWS: Final = 6000
"""The largest number of sequences that the ridge regression is fitted on."""
FEWEST_ROWS: Final = 20
"""Sequences that are fitted in any case."""
MEASURED_STEPS: Final = 500
"""Steps of a sequence by which the speed of the convolutions is measured."""
FEATURE_SHARE: Final = 0.5
"""Share of the time that the features may take."""
VALUES_AT_ONCE: Final = 1 << 24


@final
class Kernels:
    """K random kernels."""

    def __init__(self) -> None:
        self.weights: Array = np.zeros((0, 1, LONGEST), np.float32)
        """[K, C, 11]; 0 beyond a kernel's length and in channels that it does not read."""
        self.shapes: Array = np.zeros((0, 3), np.int64)
        """[K, 3]: length, dilation, and 1 if the sequence is padded at both ends."""
        self.constants: Array = np.zeros(0, np.float32)

    def draw(self, channels: int, steps: int, count: int, seed: int) -> None:
        """Draw ``count`` kernels for sequences of about ``steps`` steps."""
        draw = np.random.default_rng(seed)
        self.weights = np.zeros((count, channels, LONGEST), np.float32)
        self.shapes = np.zeros((count, 3), np.int64)
        self.constants = draw.uniform(-1, 1, count).astype(np.float32)
        lengths = [length for length in LENGTHS if length <= steps] or [max(1, steps)]
        for index in range(count):
            length = int(draw.choice(lengths))
            used = int(2 ** draw.uniform(0, np.log2(min(channels, length) + 1)))
            selected = draw.choice(channels, used, replace=False)
            weights = draw.normal(size=(used, length))
            self.weights[index, selected, :length] = weights - weights.mean(1, keepdims=True)
            dilation = int(2 ** draw.uniform(0, np.log2(max(1.0, (steps - 1) / max(1, length - 1)))))
            self.shapes[index] = length, dilation, draw.integers(2)

    def keep(self, count: int) -> None:
        """Keep the first ``count`` kernels."""
        self.weights, self.shapes, self.constants = self.weights[:count], self.shapes[:count], self.constants[:count]

    def features(self, inputs: Sequence[Array]) -> Array:
        """Return the features of sequences [T, C] as float32 [N, 2K]."""
        result = np.zeros((len(inputs), 2, len(self.constants)), np.float32)
        order = np.argsort([len(values) for values in inputs], kind="stable")
        start = 0
        while start < len(order):
            longest = len(inputs[order[min(start + 63, len(order) - 1)]])
            rows = order[start : start + max(1, min(64, VALUES_AT_ONCE // max(1, longest * 256)))]
            start += len(rows)
            result[rows] = self._features([inputs[row] for row in rows])
        return result.reshape(len(inputs), -1)

    def _features(self, inputs: Sequence[Array]) -> Array:
        """Return the largest value and the share above 0 of each kernel, [N, 2, K], for a few sequences."""
        lengths = np.array([len(values) for values in inputs])
        steps = int(lengths.max())
        padded = np.zeros((len(inputs), steps, self.weights.shape[1]), np.float32)
        for row, values in enumerate(inputs):
            padded[row, : len(values)] = values
        result = np.zeros((len(inputs), 2, len(self.constants)), np.float32)
        for shape in np.unique(self.shapes, axis=0):
            length, dilation, is_padded = (int(value) for value in shape)
            indices = np.flatnonzero((self.shapes == shape).all(1))
            reach = (length - 1) * dilation
            padding = reach // 2 if is_padded else 0
            read = np.flatnonzero(self.weights[indices].any((0, 2)))
            source = np.pad(padded[:, :, read], ((0, 0), (padding, reach - padding), (0, 0)))
            taps = [source[:, place * dilation : place * dilation + steps] for place in range(length)]
            weights = self.weights[indices][:, read, :length].transpose(0, 2, 1).reshape(len(indices), -1)
            outputs = np.concatenate(taps, 2) @ weights.T + self.constants[indices]
            # A short sequence is padded all the same.
            counts = np.maximum(lengths if is_padded else lengths - reach, 1)[:, None]
            inside = (np.arange(steps) < counts)[:, :, None]
            result[:, 0, indices] = np.where(inside, outputs, -np.inf).max(1)
            result[:, 1, indices] = ((outputs > 0) & inside).sum(1) / counts
        return result

    def state_dict(self) -> dict[str, Array]:
        return {"kernels": self.weights, "kernel_shapes": self.shapes, "kernel_constants": self.constants}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if its shapes do not fit together."""
        weights, shapes, constants = (state[name] for name in ("kernels", "kernel_shapes", "kernel_constants"))
        count = len(constants)
        if weights.ndim != 3 or weights.shape[::2] != (count, LONGEST) or shapes.shape != (count, 3):
            raise ValueError(f"kernels: got {weights.shape} and {shapes.shape} for {count} kernels")
        if count and (shapes[:, :2].min() < 1 or shapes[:, 0].max() > LONGEST or shapes[:, 1].max() > LARGEST_DILATION):
            raise ValueError("kernel_shapes: a length or dilation is out of range")
        self.weights, self.shapes, self.constants = weights, shapes, constants


class _Rocket:
    """Random kernels, and a linear model of their features."""

    def __init__(self, linear: RidgeClassifier | RidgeRegression) -> None:
        self._kernels = Kernels()
        self._linear = linear

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
        """Fit to sequences [T, C] within about ``seconds``.

        Of very many sequences a random part is fitted, with fewer kernels if the time allows no more. Returns both in
        words; empty if it was all.
        """
        deadline = Deadline(seconds)
        draw = np.random.default_rng(seed)
        order, valid_order = (draw.permutation(len(x))[:ROWS] for x in (inputs, valid_inputs))
        lengths = [len(inputs[row]) for row in order]
        self._kernels.draw(inputs[0].shape[1], int(np.median(lengths)), KERNELS, seed)
        steps = sum(lengths) + sum(len(valid_inputs[row]) for row in valid_order)
        affordable = FEATURE_SHARE * self._affordable_steps(inputs[order[0]], deadline) / steps
        count = int(np.clip(affordable * KERNELS, FEWEST_KERNELS, KERNELS))
        share = min(1.0, affordable * KERNELS / count)
        self._kernels.keep(count)
        rows, valid_rows = (np.sort(x[: max(FEWEST_ROWS, int(share * len(x)))]) for x in (order, valid_order))
        features = self._kernels.features([inputs[row] for row in rows])
        valid_features = self._kernels.features([valid_inputs[row] for row in valid_rows])
        regression = self._linear.fit(features, targets[rows], valid_features, valid_targets[valid_rows], deadline)
        return joined(shortened(len(rows), len(inputs), "sequences"), shortened(count, KERNELS, "kernels"), regression)

    def _affordable_steps(self, values: Array, deadline: Deadline) -> float:
        """Return the number of steps that all kernels read in the time that is left, by their speed on ``values``."""
        before = deadline.left
        part = values[:MEASURED_STEPS]
        self._kernels.features([part])
        seconds = max(before - deadline.left, SHORTEST)
        return max(0.0, deadline.left) * len(part) / seconds

    def state_dict(self) -> dict[str, Array]:
        return {**self._kernels.state_dict(), **self._linear.state_dict()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it does not fit together."""
        self._kernels.load_state_dict(state)
        self._linear.load_state_dict(state)
        if len(state["mean"]) != 2 * len(state["kernel_constants"]):
            raise ValueError(f"mean: got {len(state['mean'])} features, wanted two for each kernel")

    @property
    def channels(self) -> int:
        """The channels of a step."""
        return int(self._kernels.weights.shape[1])

    @property
    def parameters_count(self) -> int:
        return self._linear.parameters_count


@final
class RocketClassifier(_Rocket):
    """ROCKET with a ridge classifier."""

    def __init__(self, classes: int) -> None:
        self._classifier = RidgeClassifier(classes)
        super().__init__(self._classifier)

    def probabilities(self, inputs: Sequence[Array]) -> Array:
        """Return the probability of each class, [N, K]."""
        return self._classifier.probabilities(self._kernels.features(inputs))


@final
class RocketRegression(_Rocket):
    """ROCKET with a ridge regression."""

    def __init__(self) -> None:
        self._regression = RidgeRegression()
        super().__init__(self._regression)

    def predictions(self, inputs: Sequence[Array]) -> Array:
        """Return the mean and the quantiles, [N, 1 + Q]."""
        return self._regression.predictions(self._kernels.features(inputs))
