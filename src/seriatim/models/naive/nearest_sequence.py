"""The label of the nearest training sequence, by Euclidean distance or dynamic time warping (Berndt & Clifford 1994).

    (1)  D_ij = |x_i − y_j|² + min(D_{i-1,j}, D_{i,j-1}, D_{i-1,j-1}),  |i − j| ≤ r        Sakoe & Chiba 1978

All sequences are first brought to one length, by linear interpolation. The window r is chosen on the validation part;
r = 0 is the Euclidean distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from seriatim.models.naive.deadline import Deadline, joined, shortened

Array = np.ndarray[Any, Any]

WINDOWS: Final = (0.0, 0.03, 0.06, 0.1, 0.2)
"""Windows r that are tried, as shares of the length."""
LONGEST: Final = 128
"""The largest common length."""
WORK: Final = 4e7
"""The largest number of products for one new sequence, roughly. More training sequences than this allows are left out.
"""
PAIRS_AT_ONCE: Final = 1 << 14


@final
class NearestSequence:
    """One nearest neighbour. The chosen class has the probability of being right on the validation part."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.references: Array = np.zeros((0, 1, 1), np.float32)
        """[N, L, C]"""
        self.labels: Array = np.zeros(0, np.int64)
        self.window = 0
        self.error = 0.5
        """The share of wrong validation sequences, after one more wrong and one more right one."""

    def fit(
        self,
        inputs: Sequence[Array],
        labels: Array,
        valid_inputs: Sequence[Array],
        valid_labels: Array,
        *,
        seconds: float = 60.0,
        seed: int = 0,
    ) -> str:
        """Store sequences [T, C] and choose the window within about ``seconds``.

        Of very many sequences a random part is stored, and the window is chosen on as many validation sequences as the
        time allows. Returns both in words; empty if it was all.
        """
        deadline = Deadline(seconds)
        length = int(np.clip(np.median([len(values) for values in inputs]), 1, LONGEST))
        windows = sorted({round(share * length) for share in WINDOWS})
        cost = length * (2 * windows[-1] + 1) * (inputs[0].shape[1] + 2)
        draw = np.random.default_rng(seed)
        rows = np.sort(draw.permutation(len(inputs))[: max(self.classes, int(WORK / cost))])
        self.references, self.labels = _resample([inputs[row] for row in rows], length), labels[rows]
        order = draw.permutation(len(valid_inputs))
        wrong, scored = dict.fromkeys(windows, 0), 0
        for block in np.split(order, range(self._queries_at_once, len(order), self._queries_at_once)):
            queries = _resample([valid_inputs[row] for row in block], length)
            for window in windows:
                wrong[window] += int((self._nearest(queries, window) != valid_labels[block]).sum())
            scored += len(block)
            if deadline.has_passed():
                break
        self.window = min(windows, key=lambda window: wrong[window])
        self.error = (wrong[self.window] + 1) / (scored + 2)
        return joined(
            shortened(len(rows), len(inputs), "sequences"), shortened(scored, len(order), "validation sequences")
        )

    @property
    def _queries_at_once(self) -> int:
        return max(1, PAIRS_AT_ONCE // len(self.references))

    def probabilities(self, inputs: Sequence[Array]) -> Array:
        """Return the probability of each class, [N, K]."""
        nearest = self._nearest(_resample(inputs, self.references.shape[1]), self.window)
        result = np.full((len(inputs), self.classes), self.error / max(1, self.classes - 1))
        result[np.arange(len(inputs)), nearest] = 1 - self.error
        return result

    def _nearest(self, queries: Array, window: int) -> Array:
        """Return the label of the nearest reference of each query [Q, L, C]."""
        size = self._queries_at_once
        parts = [
            self.labels[_distances(queries[start : start + size], self.references, window).argmin(1)]
            for start in range(0, len(queries), size)
        ]
        return np.concatenate(parts)

    def state_dict(self) -> dict[str, Array]:
        return {
            "references": self.references,
            "labels": self.labels,
            "window": np.array([self.window], np.int64),
            "error": np.array([self.error]),
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it does not fit together."""
        references, labels = state["references"], state["labels"].astype(np.int64)
        if references.ndim != 3 or not len(references) or labels.shape != (len(references),):
            raise ValueError(f"references: got {references.shape} with labels {labels.shape}")
        if not 0 <= labels.min() <= labels.max() < self.classes:
            raise ValueError(f"labels: wanted classes below {self.classes}")
        self.references, self.labels = references, labels
        (self.window,), (self.error,) = state["window"].tolist(), state["error"].tolist()

    @property
    def channels(self) -> int:
        """The channels of a step."""
        return int(self.references.shape[2])

    @property
    def parameters_count(self) -> int:
        return self.references.size


def _resample(inputs: Sequence[Array], length: int) -> Array:
    """Bring sequences [T, C] to one length by linear interpolation: float32 [N, L, C]."""
    result = np.empty((len(inputs), length, inputs[0].shape[1]), np.float32)
    for row, values in enumerate(inputs):
        if len(values) == length:
            result[row] = values
            continue
        places = np.linspace(0, len(values) - 1, length)
        below = places.astype(np.int64)
        above = np.minimum(below + 1, len(values) - 1)
        share = (places - below)[:, None]
        result[row] = (1 - share) * values[below] + share * values[above]
    return result


def _distances(queries: Array, references: Array, window: int) -> Array:
    """Return (1) for all pairs of queries [Q, L, C] and references [N, L, C], as [Q, N]."""
    count, length = len(queries), queries.shape[1]
    shape = (count, len(references))
    infinite = np.full(shape, np.inf, np.float32)
    query_squares, squares = (np.square(array).sum(2) for array in (queries, references))
    previous: dict[int, Array] = {-1: np.zeros(shape, np.float32)}
    for i in range(length):
        row: dict[int, Array] = {}
        for j in range(max(0, i - window), min(length, i + window + 1)):
            cost = query_squares[:, i, None] + squares[None, :, j] - 2 * queries[:, i] @ references[:, j].T
            best = previous.get(j - 1, infinite)
            for other in (previous.get(j), row.get(j - 1)):
                if other is not None:
                    best = np.minimum(best, other)
            row[j] = np.maximum(cost, 0) + best
        previous = row
    return previous[length - 1]
