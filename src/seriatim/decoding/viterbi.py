"""Finds the best path through a chain (Viterbi 1967): one tag per step from scores of tags and transitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import UsageError

Floats = NDArray[np.floating]
Path = NDArray[np.int64]


def viterbi(
    emissions: Floats, lengths: NDArray[np.integer], transitions: Floats, start: Floats, end: Floats
) -> tuple[list[Path], NDArray[np.float64]]:
    """Return the path with the highest score for each of B sequences, ``[length]`` each, and the scores ``[B]``.

    The score of a path y of n steps is ``start[y_1] + Σ emissions[t, b, y_t] + Σ transitions[y_t, y_t+1] + end[y_n]``.
    ``emissions`` [T, B, K], ``lengths`` [B] of at least 1, ``transitions`` [K, K] from row to column, ``start`` and
    ``end`` [K]; values after a length are not read. Of paths with equal scores the one with lower last tags
    is returned. Time O(T·B·K²). Raises ``UsageError`` for shapes that do not fit.
    """
    T, B, K = emissions.shape
    shapes = {
        "transitions": (transitions, (K, K)),
        "start": (start, (K,)),
        "end": (end, (K,)),
        "lengths": (lengths, (B,)),
    }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            raise UsageError(f"{name}: got shape {array.shape}, wanted {shape}")
    if B and (lengths.min() < 1 or lengths.max() > T):
        raise UsageError(f"lengths: got {lengths.min()} to {lengths.max()}, wanted 1 to {T}")
    best = start + emissions[0].astype(np.float64)
    came_from = np.zeros((T, B, K), np.int64)
    for t in range(1, T):
        routes = best[:, :, None] + transitions  # [B, K, K]: from, to
        came_from[t] = routes.argmax(1)
        longer = np.take_along_axis(routes, came_from[t][:, None], 1)[:, 0] + emissions[t]
        best = np.where((t < lengths)[:, None], longer, best)
    best = best + end
    tag = best.argmax(1)
    score = best[np.arange(B), tag]
    path = np.zeros((T, B), np.int64)
    for t in range(T - 1, -1, -1):
        path[t] = tag
        tag = np.where(t < lengths, came_from[t, np.arange(B), tag], tag)
    return [path[: lengths[row], row] for row in range(B)], score
