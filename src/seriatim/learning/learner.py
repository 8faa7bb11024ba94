"""What a learner is.

A learner computes the gradient of one update and leaves it in ``.grad``. It owns nothing: what it must remember from
one update to the next goes in as ``carry`` and comes out again, so that a checkpoint holds it.

    step(model, batch, carry) -> (loss, carry)
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from seriatim.errors import UsageError
from seriatim.models.contract import Carry, Segment, StreamModel, Trainable


class Learner(ABC):
    """A rule that turns one batch into a gradient."""

    @abstractmethod
    def step(self, model: Trainable, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        """Leave the gradient of the mean loss of ``batch`` in ``.grad``; return the loss and what to carry on."""


def streaming(learner: str, model: Trainable, batch: object) -> tuple[StreamModel, Segment]:
    """The model and the batch of a learner that cuts streams. Raises ``UsageError`` for others."""
    if not isinstance(model, StreamModel) or not isinstance(batch, Segment):
        raise UsageError(f"learner: {learner} wants a model of streams, whose loss adds up step by step; "
                         f"{type(model).__name__} is none")  # fmt: skip
    return model, batch
