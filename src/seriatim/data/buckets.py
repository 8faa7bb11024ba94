"""Batches of sequences of about one length, so that little is padded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)


def buckets(lengths: ArrayLike, batch_size: int, seed: int | None, pool: int = 50) -> list[Indices]:
    """Every index once, in batches within which lengths fall.

    With a ``seed``: indices are shuffled, pools of ``pool`` batches are sorted by length and cut, and the batches are
    shuffled. ``None``, for evaluation: all are sorted by length, and batches stay in that order.
    """
    return token_buckets(lengths, batch_size, sys.maxsize, seed, pool)


def token_buckets(
    lengths: ArrayLike, batch_size: int, batch_tokens: int, seed: int | None, pool: int = 50
) -> list[Indices]:
    """As ``buckets``, and no batch is larger than ``batch_tokens`` once it is padded, unless it is a single sequence.

    So a batch of long sequences takes no more memory than one of short sequences, of which there are ``batch_size``.
    """
    wanted = np.asarray(lengths, dtype=np.int64)
    if seed is None:
        return _cut(np.argsort(-wanted, kind="stable"), wanted, batch_size, batch_tokens)
    random = np.random.default_rng(seed)
    order = random.permutation(len(wanted))
    batches: list[Indices] = []
    for start in range(0, len(order), pool * batch_size):
        some = order[start : start + pool * batch_size]
        batches += _cut(some[np.argsort(-wanted[some], kind="stable")], wanted, batch_size, batch_tokens)
    return [batches[place] for place in random.permutation(len(batches))]


def pad(sequences: Sequence[NDArray[Scalar]], fill: Any) -> tuple[NDArray[Scalar], Indices]:
    """Sequences ``[T]`` or ``[T, C]`` → one array ``[T, B]`` or ``[T, B, C]``, and lengths ``[B]``.

    T is the longest; ``fill`` stands after an end.
    """
    lengths = np.array([len(one) for one in sequences], dtype=np.int64)
    first = sequences[0]
    padded = np.full((int(lengths.max()), len(sequences), *first.shape[1:]), fill, dtype=first.dtype)
    for place, one in enumerate(sequences):
        padded[: len(one), place] = one
    return padded, lengths


def _cut(order: Indices, lengths: Indices, batch_size: int, batch_tokens: int) -> list[Indices]:
    """Cut indices whose lengths fall: the first of a batch tells how long all of it are once padded."""
    batches = []
    start = 0
    while start < len(order):
        fitting = int(batch_tokens // max(lengths[order[start]], 1))
        stop = start + max(1, min(batch_size, fitting))
        batches.append(order[start:stop])
        start = stop
    return batches
