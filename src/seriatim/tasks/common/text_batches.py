"""The batches of one epoch over a text, as parallel streams or as whole documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seriatim.data.streams import Streams
from seriatim.encoding.buckets import buckets, pad
from seriatim.models.language import NO_TARGET, LanguageBatch
from seriatim.notation import UNKNOWN

Array = NDArray[Any]


@dataclass(frozen=True)
class StreamEpoch(Sequence[LanguageBatch]):
    """The batches of one epoch over contiguous streams.

    With probability ``restart`` the state of a row is reset at the first new step of a batch (Melis 2018). Otherwise a
    network, which during training always continues from its own state, may predict badly from a zero state. The random
    draws belong to steps of the stream, so that overlapping batches agree on them.
    """

    streams: Streams
    restart: float
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.streams)

    def __getitem__(self, position: Any) -> Any:
        if position >= len(self):
            raise IndexError(position)
        window = self.streams.window(position)
        reset = np.zeros_like(window.targets, dtype=np.bool_) if window.starts is None else window.starts
        if self.restart:
            steps = self.streams.steps
            for row in range(-window.first % steps, len(reset), steps):
                draw = np.random.default_rng((self.seed, self.epoch, (window.first + row) // steps))
                reset[row] |= draw.random(reset.shape[1]) < self.restart
        return LanguageBatch(
            torch.from_numpy(window.inputs),
            torch.from_numpy(window.targets),
            torch.from_numpy(reset) if reset.any() else None,
            overlap=window.overlap,
        )


@dataclass(frozen=True)
class DocumentEpoch(Sequence[LanguageBatch]):
    """The batches of one epoch over whole documents."""

    tokens: Array
    starts: Array
    batches: Sequence[Array]
    """The indices of the documents in each batch."""

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, position: Any) -> Any:
        ends = np.append(self.starts[1:], len(self.tokens))
        documents = [self.tokens[self.starts[index] : ends[index]].astype(np.int64) for index in self.batches[position]]
        targets, _ = pad(documents, NO_TARGET)
        inputs = np.concatenate([np.full_like(targets[:1], UNKNOWN), targets[:-1]])
        inputs[inputs == NO_TARGET] = UNKNOWN
        return LanguageBatch(torch.from_numpy(inputs), torch.from_numpy(targets))


def document_epoch(tokens: Array, starts: Array, batch_size: int, seed: int, epoch: int) -> DocumentEpoch:
    """Return batches of documents of similar length, in an order that depends on ``epoch``."""
    lengths = np.diff(np.append(starts, len(tokens)))
    return DocumentEpoch(tokens, starts, buckets(lengths, batch_size, seed + epoch))
