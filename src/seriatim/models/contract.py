"""What a trainable model promises to a learner."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from seriatim.nn.weight_owners import Unitwise as Unitwise
from seriatim.nn.weight_owners import plain_steps as plain_steps

Carry = tuple[Tensor, ...]
"""What a model hands from one segment of a stream to the next; empty where a stream begins."""

S = TypeVar("S", bound="Segment")


class Trainable(nn.Module, ABC):
    """A network that can say how badly it predicts a batch."""

    @abstractmethod
    def loss(self, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean loss per predicted unit, and the state after the batch."""


class StreamModel(Trainable):
    """A network whose losses add up along a stream, so that a learner may cut a ``Segment`` where it likes.

    The loss of a segment is the mean over its units of what each part of it gives, going on from the part before. Of
    the carry every tensor has the rows of the batch on axis 1, and rows do not touch each other.
    """

    @abstractmethod
    def advance(self, batch: object, carry: Carry) -> Carry:
        """Return the state after the batch: as ``loss``, draws included, without what only the loss needs."""


@dataclass(frozen=True)
class Segment(ABC):
    """K steps of B streams: time stands on the first axis of every tensor in it, the rows on the second."""

    overlap: int = dataclasses.field(default=0, kw_only=True)
    """Steps at the start that the batches before had too: they lead up to the others, and have no loss."""

    @property
    @abstractmethod
    def units(self) -> int:
        """What the mean loss is taken over, beyond the overlap."""

    @property
    def steps(self) -> int:
        """K."""
        return len(next(iter(tensors(self).values())))

    def cut(self: S, start: int, stop: int) -> S:
        """The steps from ``start`` to ``stop``, all of them with their loss."""
        return with_tensors(self, {name: one[start:stop] for name, one in tensors(self).items()})


def tensors(segment: Segment) -> dict[str, Tensor]:
    """The tensors of a segment by the names of their fields."""
    fields = ((field.name, getattr(segment, field.name)) for field in dataclasses.fields(segment))
    return {name: value for name, value in fields if isinstance(value, Tensor)}


def with_tensors(segment: S, values: dict[str, Tensor]) -> S:
    """The same segment of other tensors, all of its steps with their loss."""
    return dataclasses.replace(segment, overlap=0, **values)
