"""Groups sequences of similar length into batches, so that little padding is needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


def buckets(lengths: ArrayLike, batch_size: int, seed: int | None, pool: int = 50) -> list[Indices]:
    """Batches that contain each index once; within a batch, lengths decrease.

    With a ``seed``, indices are shuffled, pools of ``pool`` batches are sorted by length and cut into batches, and the
    batches are shuffled. With ``None`` (for evaluation) all indices are sorted by length and batches keep that order.
    """
    return token_buckets(lengths, batch_size, sys.maxsize, seed, pool)


def token_buckets(
    lengths: ArrayLike, batch_size: int, batch_tokens: int, seed: int | None, pool: int = 50
) -> list[Indices]:
    """Like ``buckets``, but a padded batch has at most ``batch_tokens`` steps, unless it is a single sequence.

    A batch of long sequences then needs no more memory than a batch of ``batch_size`` short ones.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if seed is None:
        return _cut(np.argsort(-sizes, kind="stable"), sizes, batch_size, batch_tokens)
    random = np.random.default_rng(seed)
    order = random.permutation(len(sizes))
    batches: list[Indices] = []
    for start in range(0, len(order), pool * batch_size):
        indices = order[start : start + pool * batch_size]
        batches += _cut(indices[np.argsort(-sizes[indices], kind="stable")], sizes, batch_size, batch_tokens)
    return [batches[index] for index in random.permutation(len(batches))]


def pad(sequences: Sequence[NDArray[Scalar]], fill: Any) -> tuple[NDArray[Scalar], Indices]:
    """Pad sequences ``[T]`` or ``[T, C]`` to one array ``[T, B]`` or ``[T, B, C]``; also return their lengths ``[B]``.

    T is the greatest length; ``fill`` follows the end of each shorter sequence.
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    first = sequences[0]
    padded = np.full((int(lengths.max()), len(sequences), *first.shape[1:]), fill, dtype=first.dtype)
    for column, sequence in enumerate(sequences):
        padded[: len(sequence), column] = sequence
    return padded, lengths


def _cut(order: Indices, lengths: Indices, batch_size: int, batch_tokens: int) -> list[Indices]:
    """Cut indices with decreasing lengths into batches; the first index of a batch decides its padded length."""
    batches = []
    start = 0
    while start < len(order):
        limit = int(batch_tokens // max(lengths[order[start]], 1))
        stop = start + max(1, min(batch_size, limit))
        batches.append(order[start:stop])
        start = stop
    return batches
