"""The forms of ``X`` that estimators take, and how each is handed to ``seriatim.train``.

2-D array, list of rows, frame of numbers   each row is a sequence of one channel: [N, T]
3-D array                                   [N, T, C]
list of arrays [T] or [T, C]                sequences of different length
list or series of texts                     one text for each sequence
frame with text=, sound= or channels= id=   a table, read by the options; each of its rows is a sample
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from seriatim.errors import ArgumentError

MIN_SAMPLES = 3
"""One sample for each part of the split."""


@dataclass(frozen=True)
class Sequences:
    """``X`` as ``seriatim.train`` reads it."""

    source: Any
    """An array, a list, or a frame."""
    is_table: bool = False
    codes: list[int] | None = None
    """For a frame with ``id``: the number of the sequence that contains each row. None: each row is a sequence."""

    def with_answers(self, answers: Sequence[Any], column: str) -> Any:
        """Join the answers to the sequences: ``(X, y)``, or the frame with a further column."""
        if not self.is_table:
            return self.source, answers
        if column in list(self.source.columns):
            raise ArgumentError(f"X: has a column '{column}', which is the name for y; rename it")
        if hasattr(self.source, "assign"):
            return self.source.assign(**{column: answers})
        import polars

        return self.source.with_columns(polars.Series(column, answers))

    def spread(self, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give each row of a frame the value of its sequence."""
        return values if self.codes is None else values[self.codes]


def read_inputs(estimator: Any, X: Any, options: Mapping[str, Any], *, reset: bool) -> Sequences:
    """Check ``X`` and say what it is. ``reset`` is true while fitting, when the number of features is recorded.

    Raises ``ValueError`` as scikit-learn does for a 2-D array that does not fit; other forms are checked by ``train``.
    """
    if hasattr(X, "columns") and any(options.get(name) for name in ("text", "sound", "channels")):
        return Sequences(X, True, _codes(X, options))
    was_fitted_to_lists = not reset and not hasattr(estimator, "n_features_in_")
    sequences = _sequences(X, was_fitted_to_lists)
    if sequences is not None:
        if len(sequences) < MIN_SAMPLES and reset:
            raise ValueError(f"X: {len(sequences)} sequences, wanted at least {MIN_SAMPLES}")
        return Sequences(sequences)
    return Sequences(validate_data(estimator, X, reset=reset, ensure_min_samples=MIN_SAMPLES if reset else 1))


def read_pair(estimator: Any, X: Any, y: Any, options: Mapping[str, Any]) -> tuple[Sequences, np.ndarray[Any, Any]]:
    """Check ``X`` and ``y`` ``[N]`` together, while fitting."""
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    inputs = read_inputs(estimator, X, options, reset=True)
    y = column_or_1d(y, warn=True)
    assert_all_finite(y, input_name="y")
    check_consistent_length(inputs.source, y)
    return inputs, y


def _sequences(X: Any, lists_are_sequences: bool) -> Any:
    """Return ``X`` as a 3-D array, or a list of texts or arrays; None if it is 2-D or has no data."""
    if isinstance(X, np.ndarray) or (hasattr(X, "__array__") and not hasattr(X, "columns")):
        array = np.asarray(X)
        if array.ndim == 3:
            return array
        X = array.tolist() if array.ndim == 1 and array.dtype.kind in "OUT" else array
    if not isinstance(X, (list, tuple)) or not X:
        return None
    if all(isinstance(item, str) for item in X):
        return list(X)
    if all(isinstance(item, np.ndarray) and item.ndim > 0 for item in X):
        return list(X)
    if all(isinstance(item, (list, tuple, np.ndarray)) for item in X):
        is_ragged = len({len(item) for item in X}) > 1
        has_steps = any(np.ndim(item[0]) > 0 for item in X if len(item))
        if lists_are_sequences or is_ragged or has_steps:
            return [np.asarray(item) for item in X]
    return None


def _codes(frame: Any, options: Mapping[str, Any]) -> list[int] | None:
    """Return the number of the sequence that contains each row, by first appearance of the ids."""
    id = options.get("id")
    if not options.get("channels") or not id or options.get("every_step"):
        return None
    if id not in list(frame.columns):
        raise ArgumentError(f"id: no column '{id}' in X")
    numbers: dict[Any, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in frame[id]]
