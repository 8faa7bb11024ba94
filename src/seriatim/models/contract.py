"""What a trainable model promises to a learner."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

Carry = tuple[Tensor, ...]
"""What a model hands from one stretch of a stream to the next; empty where a stream begins."""


class Trainable(nn.Module, ABC):
    """A network that can say how badly it predicts a batch."""

    @abstractmethod
    def loss(self, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean loss per predicted unit, and the state after the batch."""
