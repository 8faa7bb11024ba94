"""The interfaces between a trainable model, its batches and a learner."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from torch import Tensor, nn

from seriatim.nn.plain_steps import plain_steps

Carry = tuple[Tensor, ...]
"""The state that a model hands from one segment of a stream to the next; empty where a stream begins."""


class Batch(Protocol):
    """The data of one update."""

    @property
    def units(self) -> int:
        """The number of predicted tokens or of steps that are read. Training speed is measured in it."""


BatchT = TypeVar("BatchT", bound=Batch)
SegmentT = TypeVar("SegmentT", bound="Segment")


class Trainable(nn.Module, ABC, Generic[BatchT]):
    """A network that can compute its loss on a batch of type ``BatchT``."""

    @abstractmethod
    def loss(self, batch: BatchT, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean loss per predicted unit, and the state after the batch. Steps of an overlap do not count."""

    def terms(self, batch: BatchT) -> float:
        """Return the number of terms that ``loss`` is the mean of."""
        return batch.units


class StreamModel(Trainable[SegmentT]):
    """A network whose loss is a sum over steps, so that a learner may cut a ``Segment`` anywhere.

    The loss of a segment is the mean over its units. It does not change when the segment is cut in two and the second
    part continues from the carry of the first. Every tensor of the carry has the rows of the batch on axis 1, and rows
    do not affect each other.
    """

    @abstractmethod
    def advance(self, batch: SegmentT, carry: Carry) -> Carry:
        """Return the state after the batch: the same as from ``loss``, with the same random draws, at less cost."""

    def plain_steps(self) -> AbstractContextManager[None]:
        """Return a context in which the model uses plain operations only, which PyTorch can always differentiate."""
        return plain_steps()


@runtime_checkable
class Unitwise(Protocol):
    """A recurrent layer or stack, states [L, B, H], in which each weight belongs to one unit.

    In one step, at a fixed old state, a weight changes only the state of its own unit. If the recurrence is also
    ``diagonal`` (h_t = a_t ⊙ h_{t-1} + b_t, where a and b depend on the input alone), a weight never changes the state
    of another unit, and exact RTRL needs only one number per weight and part of the state.
    """

    @property
    def recurrent_states(self) -> tuple[int, ...]:
        """The indices of the parts of the state that the next step reads. (The h of an LRU is output only.)"""

    @property
    def diagonal(self) -> bool:
        """True if the recurrence is element-wise."""

    def owners(self) -> dict[str, Tensor]:
        """Return the unit l·H + i that each weight belongs to: int64, in the shape of each parameter.

        Raises ``UsageError`` if a weight reaches several units of its layer in one step.
        """


@dataclass(frozen=True)
class Segment(ABC):
    """K steps of B streams. Every tensor in it has time on its first axis and the rows on its second."""

    overlap: int = dataclasses.field(default=0, kw_only=True)
    """The number of first steps that the previous segment had too. They only prepare the state and have no loss."""

    @property
    @abstractmethod
    def units(self) -> int:
        """The number of units that the mean loss is taken over, without the overlap."""

    @property
    def steps(self) -> int:
        """K."""
        return len(next(iter(tensors(self).values())))

    def cut(self: SegmentT, start: int, stop: int) -> SegmentT:
        """Return the steps from ``start`` to ``stop``, without overlap: all of them have a loss."""
        return with_tensors(self, {name: tensor[start:stop] for name, tensor in tensors(self).items()})


def tensors(segment: Segment) -> dict[str, Tensor]:
    """Return the tensors of a segment by the names of their fields."""
    fields = ((field.name, getattr(segment, field.name)) for field in dataclasses.fields(segment))
    return {name: value for name, value in fields if isinstance(value, Tensor)}


def with_tensors(segment: SegmentT, values: dict[str, Tensor]) -> SegmentT:
    """Return the segment with other tensors and without overlap."""
    return dataclasses.replace(segment, overlap=0, **values)
