"""The interface of a learner, the rule that computes the gradient of one update.

A learner writes the gradient into ``.grad``. It keeps no state of its own: what it must remember from one update to
the next goes in as ``carry`` and comes out again, so that a checkpoint contains it.

    step(model, batch, carry) -> (loss, carry)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seriatim.errors import UsageError
from seriatim.models.contract import BatchT, Carry, Segment, StreamModel, Trainable


@dataclass(frozen=True)
class SegmentSize:
    """The steps of a stream that one update reads: ``overlap`` steps of the segment before, then ``new`` steps."""

    new: int
    overlap: int = 0


class Learner(ABC):
    """A rule that computes a gradient from one batch."""

    @property
    @abstractmethod
    def segment(self) -> SegmentSize | None:
        """The size of the segments that this learner reads from a stream. None: it reads whole sequences."""

    @abstractmethod
    def step(self, model: Trainable[BatchT], batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        """Add the gradient of the mean loss of ``batch`` to ``.grad``; return the loss and the carry after it."""


def require_stream(learner: str, model: Trainable[BatchT], batch: BatchT) -> tuple[StreamModel[Any], Segment]:
    """Return ``model`` and ``batch``. Raises ``UsageError`` if they are not a model of streams and a segment."""
    if not isinstance(model, StreamModel) or not isinstance(batch, Segment):
        raise UsageError(f"learner: {learner} wants a model of streams, whose loss adds up step by step; "
                         f"{type(model).__name__} is none")  # fmt: skip
    return model, batch
