"""Streams of tokens for truncated backpropagation."""

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
Positions = NDArray[np.int64]
Marks = NDArray[np.bool_]


def marks_at(starts: Positions, length: int) -> Marks:
    """Return a boolean array [length] that is true at the positions ``starts``."""
    marks = np.zeros(length, dtype=np.bool_)
    marks[starts] = True
    return marks


@dataclass(frozen=True)
class Window:
    """K consecutive steps of all streams."""

    inputs: Batch
    targets: Batch
    """[K, B]."""
    starts: Marks | None
    """[K, B]: true where a document starts; None if only the first token starts one."""
    first: int
    """Index in the streams of the first step."""
    overlap: int
    """Number of steps at the start that earlier windows also contain."""


@final
class Streams:
    """B rows of contiguous tokens that are read K steps at a time, so that a state can be carried along.

    The input at position i is token i - 1, or ``<unk>`` at the first position of a document; ``starts`` holds those
    positions. The last tokens that do not fill B rows (at most B - 1) are dropped. The last batch may be shorter than
    K. Each batch also contains the ``overlap`` steps before its own, if there are that many.
    """

    def __init__(
        self, tokens: Tokens, batch_size: int, steps: int, *, overlap: int = 0, starts: Positions | None = None
    ) -> None:
        """Raises ``DataError`` if there are fewer tokens than rows."""
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
        """Number of batches."""
        return -(-self._targets.shape[1] // self.steps)

    def window(self, batch: int) -> Window:
        """Return the steps of the batch with index ``batch``."""
        begin = batch * self.steps
        first = max(begin - self._overlap, 0)
        steps = slice(first, begin + self.steps)
        return Window(
            self._inputs[:, steps].T.astype(np.int64),
            self._targets[:, steps].T.astype(np.int64),
            None if self._starts is None else np.ascontiguousarray(self._starts[:, steps].T),
            first,
            begin - first,
        )

    def batches(self, start: int = 0) -> Iterator[tuple[Batch, Batch]]:
        """Yield inputs and targets ``[K, B]``, from batch ``start`` on."""
        for batch in range(start, len(self)):
            window = self.window(batch)
            yield window.inputs, window.targets

    def __iter__(self) -> Iterator[tuple[Batch, Batch]]:
        return self.batches()
