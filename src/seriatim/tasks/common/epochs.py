"""Epochs over examples: batches of similar length, in a new order each epoch. A batch is made when it is read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from seriatim.encoding.buckets import token_buckets
from seriatim.learning.options import LearningOptions
from seriatim.models.contract import Batch

Array = np.ndarray[Any, Any]
BatchT = TypeVar("BatchT", bound=Batch)
BatchT_co = TypeVar("BatchT_co", bound=Batch, covariant=True)


class Examples(Protocol[BatchT_co]):
    """Encoded examples that can be joined into batches."""

    @property
    def lengths(self) -> Array:
        """The number of steps of each example, [N]. A batch is padded to its longest example."""

    def batch(self, indices: Array) -> BatchT_co:
        """Make one batch of the examples at ``indices``."""


@dataclass(frozen=True)
class Epoch(Sequence[BatchT], Generic[BatchT]):
    """The batches of one epoch."""

    make: Callable[[Array], BatchT]
    order: list[Array]
    """The indices of the examples in each batch."""

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: Any) -> Any:
        return self.make(self.order[position])


def epochs(
    examples: Examples[BatchT],
    options: LearningOptions,
    *,
    batch_size: int | None = None,
    batch_tokens: int = sys.maxsize,
) -> Callable[[int], Epoch[BatchT]]:
    """Return a function from an epoch's number to its batches, of at most ``--batch-size`` and ``batch_tokens``."""
    lengths, size = examples.lengths, batch_size or options.batch_size
    return lambda epoch: Epoch(
        examples.batch, token_buckets(lengths, size, batch_tokens, seed=options.seed * 1_000_003 + epoch)
    )


def scheduled_updates(batches: int, *, epochs: int, least: int) -> int:
    """Return the number of updates at which a schedule ends by default: ``epochs`` epochs, but at least ``least``."""
    return max(epochs * batches, least)


def evaluation_batches(examples: Examples[BatchT], batch_size: int, batch_tokens: int = sys.maxsize) -> Epoch[BatchT]:
    """Return batches that contain each example once, the longest first, for evaluation."""
    return Epoch(examples.batch, token_buckets(examples.lengths, batch_size, batch_tokens, seed=None))
