"""Tokens in order: streams for truncated back-propagation, and for scoring every token once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError
from seriatim.notation import UNKNOWN

Tokens = NDArray[np.int32]
Batch = NDArray[np.int64]
Weights = NDArray[np.float32]


@final
class Streams:
    """B rows, each a contiguous part of the tokens, read K steps at a time, so that a state can be carried along.

    The input at position i of the tokens is token i - 1, and ``<unk>`` at the very first. What does not fill B rows,
    at most B - 1 tokens at the end, is dropped. The last batch may be shorter than K.
    """

    def __init__(self, tokens: Tokens, batch_size: int, steps: int) -> None:
        """Raises ``DataError`` when there are fewer tokens than rows."""
        length = len(tokens) // batch_size
        if not length:
            raise DataError(f"text of {len(tokens)} units: too short for {batch_size} streams (batch_size)")
        self.steps = steps
        whole = length * batch_size
        self._targets = tokens[:whole].reshape(batch_size, length)
        self._inputs = np.concatenate([np.array([UNKNOWN], dtype=tokens.dtype), tokens[: whole - 1]]).reshape(
            batch_size, length
        )

    def __len__(self) -> int:
        """Batches."""
        return -(-self._targets.shape[1] // self.steps)

    def batches(self, start: int = 0) -> Iterator[tuple[Batch, Batch]]:
        """Inputs and targets ``[K, B]``, from batch ``start`` on."""
        for batch in range(start, len(self)):
            here = slice(batch * self.steps, (batch + 1) * self.steps)
            yield self._inputs[:, here].T.astype(np.int64), self._targets[:, here].T.astype(np.int64)

    def __iter__(self) -> Iterator[tuple[Batch, Batch]]:
        return self.batches()


def warmed(tokens: Tokens, rows: int, steps: int, warmup: int) -> Iterator[tuple[Batch, Batch, Weights]]:
    """Inputs, targets and weights ``[K, rows]`` that score every token exactly once, in ``rows`` parallel parts.

    Each part but the first is led up to by the ``warmup`` tokens before it, which weigh 0 and bring the state to
    where it would be; so do the places after a part's end. All others weigh 1: the weights sum to the number of
    tokens. With one row the state is carried through the whole text.
    """
    count = len(tokens)
    rows = max(min(rows, count), 1)
    bounds = np.linspace(0, count, rows + 1).astype(np.int64)
    starts, ends = bounds[:-1], bounds[1:]
    leads = np.maximum(starts - warmup, 0)
    longest = int((ends - leads).max(initial=0))
    for step in range(0, longest, steps):
        places = leads + np.arange(step, min(step + steps, longest))[:, None]
        inside = places < ends
        targets = np.where(inside, tokens[np.minimum(places, count - 1)], UNKNOWN)
        inputs = np.where(inside & (places > 0), tokens[np.clip(places - 1, 0, count - 1)], UNKNOWN)
        weights = (inside & (places >= starts)).astype(np.float32)
        yield inputs.astype(np.int64), targets.astype(np.int64), weights
