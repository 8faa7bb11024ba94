"""Tokens in order: streams for truncated back-propagation, and for scoring every token once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError
from seriatim.notation import UNKNOWN

Tokens = NDArray[np.int32]
Batch = NDArray[np.int64]
Weights = NDArray[np.float32]
Positions = NDArray[np.int64]
Marks = NDArray[np.bool_]


def marks_at(starts: Positions, length: int) -> Marks:
    """True at the positions ``starts``, [length]."""
    marks = np.zeros(length, dtype=np.bool_)
    marks[starts] = True
    return marks


@dataclass(frozen=True)
class Window:
    """Consecutive steps of all streams."""

    inputs: Batch
    targets: Batch
    """[K, B]."""
    starts: Marks | None
    """[K, B]: where a document starts; None if none does, but at the very first token."""
    first: int
    """The step of the streams that stands first here."""
    overlap: int
    """Steps at the start that earlier windows had too."""


@final
class Streams:
    """B rows, each a contiguous part of the tokens, read K steps at a time, so that a state can be carried along.

    The input at position i of the tokens is token i - 1, and ``<unk>`` at the first of a document; ``starts`` tells
    where documents start. What does not fill B rows, at most B - 1 tokens at the end, is dropped. The last batch may be
    shorter than K. Before its own steps each has the ``overlap`` steps before them, as far as there are so many.
    """

    def __init__(
        self, tokens: Tokens, batch_size: int, steps: int, *, overlap: int = 0, starts: Positions | None = None
    ) -> None:
        """Raises ``DataError`` when there are fewer tokens than rows."""
        length = len(tokens) // batch_size
        if not length:
            raise DataError(f"text of {len(tokens)} units: too short for {batch_size} streams (batch_size)")
        self.steps = steps
        self._overlap = overlap
        whole = length * batch_size
        self._targets = tokens[:whole].reshape(batch_size, length)
        inputs = np.concatenate([np.array([UNKNOWN], dtype=tokens.dtype), tokens[: whole - 1]])
        self._starts: Marks | None = None
        if starts is not None and len(starts) > 1:
            marks = marks_at(starts, len(tokens))[:whole]
            inputs[marks] = UNKNOWN
            self._starts = marks.reshape(batch_size, length)
        self._inputs = inputs.reshape(batch_size, length)

    def __len__(self) -> int:
        """Batches."""
        return -(-self._targets.shape[1] // self.steps)

    def window(self, batch: int) -> Window:
        """Give the steps of a batch, by its position."""
        own = batch * self.steps
        first = max(own - self._overlap, 0)
        here = slice(first, own + self.steps)
        return Window(
            self._inputs[:, here].T.astype(np.int64),
            self._targets[:, here].T.astype(np.int64),
            None if self._starts is None else np.ascontiguousarray(self._starts[:, here].T),
            first,
            own - first,
        )

    def batches(self, start: int = 0) -> Iterator[tuple[Batch, Batch]]:
        """Inputs and targets ``[K, B]``, from batch ``start`` on."""
        for batch in range(start, len(self)):
            window = self.window(batch)
            yield window.inputs, window.targets

    def __iter__(self) -> Iterator[tuple[Batch, Batch]]:
        return self.batches()


def scoring_batches(tokens: Tokens, rows: int, steps: int, warmup: int) -> Iterator[tuple[Batch, Batch, Weights]]:
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
