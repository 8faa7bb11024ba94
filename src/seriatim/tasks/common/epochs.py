"""Passes over examples: batches of about one length, made when they are asked for, in another order each time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from seriatim.data.buckets import token_buckets
from seriatim.learning.options import LearningOptions
from seriatim.models.contract import Batch

Array = np.ndarray[Any, Any]
BatchT = TypeVar("BatchT", bound=Batch)
BatchT_co = TypeVar("BatchT_co", bound=Batch, covariant=True)


class Batched(Protocol[BatchT_co]):
    """Examples that batches are made of."""

    @property
    def lengths(self) -> Array:
        """Of each [N]: what is padded to the longest of a batch."""

    def batch(self, indices: Array) -> BatchT_co:
        """Make one batch of those at ``indices``."""


@dataclass(frozen=True)
class Epoch(Sequence[BatchT], Generic[BatchT]):
    """The batches of one pass."""

    make: Callable[[Array], BatchT]
    order: list[Array]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: Any) -> Any:
        return self.make(self.order[position])


def epochs(
    examples: Batched[BatchT],
    options: LearningOptions,
    *,
    batch_size: int | None = None,
    batch_tokens: int = sys.maxsize,
) -> Callable[[int], Epoch[BatchT]]:
    """Tell the batches of each pass by its number: at most ``--batch-size`` examples and ``batch_tokens`` in each."""
    lengths, size = examples.lengths, batch_size or options.batch_size
    return lambda number: Epoch(
        examples.batch, token_buckets(lengths, size, batch_tokens, seed=options.seed * 1_000_003 + number)
    )


def in_order(examples: Batched[BatchT], batch_size: int, batch_tokens: int = sys.maxsize) -> Epoch[BatchT]:
    """Every example once, the longest first: to judge by."""
    return Epoch(examples.batch, token_buckets(examples.lengths, batch_size, batch_tokens, seed=None))
