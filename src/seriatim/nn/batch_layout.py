"""The forms in which a layer takes its input and state, and the one form in which it works.

Inside, everything is ``x [T, B, I]``, states ``[L·D, B, ·]``, ``lengths [B]`` or None and ``reset [T, B]`` or None.
A form turns what the caller gives into that, and output and state back into what the caller would get from PyTorch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from seriatim.errors import UsageError
from seriatim.nn import checks
from seriatim.nn.packing import Places, repacked, unpacked
from seriatim.ops.recurrence import State

Flags: TypeAlias = Tensor | Sequence[object]
Lengths: TypeAlias = Tensor | Sequence[int]
Either: TypeAlias = Tensor | PackedSequence
Every: TypeAlias = dict[str, Tensor]


class Form(ABC):
    """One way to hand over a batch."""

    x: Tensor
    """[T, B, I]"""
    lengths: Tensor | None
    """[B], int64 on the CPU."""

    @abstractmethod
    def state_in(self, state: State) -> State:
        """The caller's state → [L·D, B, ·], rows in the order of ``x``."""

    @abstractmethod
    def state_out(self, state: State) -> State:
        """And back."""

    @abstractmethod
    def output(self, output: Tensor) -> Tensor | PackedSequence:
        """[T, B, D·P] → the caller's form."""

    @abstractmethod
    def reset(self, given: Flags) -> Tensor:
        """The caller's reset → [T, B]. Raises ``UsageError`` for what does not fit."""

    @abstractmethod
    def every(self, one: Tensor) -> Tensor:
        """What happened at every step, [L·D, T, B, ·] → with the caller's axes, padded."""


@dataclass
class Batched(Form):
    """[T, B, I], or [B, T, I] with ``batch_first``."""

    x: Tensor
    lengths: Tensor | None
    batch_first: bool

    def state_in(self, state: State) -> State:
        return state

    def state_out(self, state: State) -> State:
        return state

    def output(self, output: Tensor) -> Tensor:
        return output.transpose(0, 1) if self.batch_first else output

    def reset(self, given: Flags) -> Tensor:
        steps, rows = self.x.shape[:2]
        if self.batch_first:
            return checks.mask("reset", given, (rows, steps), "[B, T]").transpose(0, 1)
        return checks.mask("reset", given, (steps, rows), "[T, B]")

    def every(self, one: Tensor) -> Tensor:
        return one.transpose(1, 2) if self.batch_first else one


@dataclass
class Unbatched(Form):
    """One sequence [T, I], states [L·D, ·]."""

    x: Tensor
    lengths: Tensor | None = None

    def state_in(self, state: State) -> State:
        for one in state:
            checks.dimensions("hx", one, {2: "[layers, size], since the input has no batch axis"})
        return tuple(one.unsqueeze(1) for one in state)

    def state_out(self, state: State) -> State:
        return tuple(one.squeeze(1) for one in state)

    def output(self, output: Tensor) -> Tensor:
        return output.squeeze(1)

    def reset(self, given: Flags) -> Tensor:
        return checks.mask("reset", given, (len(self.x),), "[T]").unsqueeze(1)

    def every(self, one: Tensor) -> Tensor:
        return one.squeeze(2)


@dataclass
class Packed(Form):
    """A ``PackedSequence``: rows sorted by falling length, states in the caller's order."""

    packed: PackedSequence
    x: Tensor
    lengths: Tensor | None
    places: Places

    def state_in(self, state: State) -> State:
        for one in state:
            checks.rows(one, self.x.shape[1])
        return _reorder(state, self.packed.sorted_indices)

    def state_out(self, state: State) -> State:
        return _reorder(state, self.packed.unsorted_indices)

    def reset(self, given: Flags) -> Tensor:
        found = checks.mask("reset", given, tuple(self.x.shape[:2]), "[T, B]")
        return _reorder((found,), self.packed.sorted_indices)[0]

    def every(self, one: Tensor) -> Tensor:
        indices = self.packed.unsorted_indices
        return one if indices is None else one.index_select(2, indices)

    def output(self, output: Tensor) -> PackedSequence:
        given = self.packed
        data = repacked(output, self.places)
        return PackedSequence(data, given.batch_sizes, given.sorted_indices, given.unsorted_indices)


def read(
    given: Tensor | PackedSequence, lengths: Tensor | Sequence[int] | None, input_size: int, batch_first: bool
) -> Form:
    """Recognise the caller's form. Raises ``UsageError`` for an input or lengths that fit none."""
    if isinstance(given, PackedSequence):
        if lengths is not None:
            raise UsageError("lengths: got them beside a PackedSequence, which has its own; wanted one of the two")
        checks.dimensions("input", given.data, {2: "packed data [sum of lengths, input_size]"})
        checks.width(given.data, input_size)
        padded, found, places = unpacked(given)
        return Packed(given, padded, found, places)

    if not isinstance(given, Tensor):
        raise UsageError(f"input: got {type(given).__name__}, wanted a tensor or a PackedSequence")
    batched = "[B, T, I]" if batch_first else "[T, B, I]"
    checks.dimensions("input", given, {2: "[T, I]", 3: batched})
    checks.width(given, input_size)
    x = given.unsqueeze(1) if given.dim() == 2 else given.transpose(0, 1) if batch_first else given
    if len(x) == 0:
        raise UsageError(f"input: got {list(given.shape)}, wanted at least one step")
    if given.dim() == 2:
        if lengths is not None:
            raise UsageError("lengths: got them beside one sequence [T, I], wanted a batch")
        return Unbatched(x)
    return Batched(x, None if lengths is None else checks.lengths(lengths, x.shape[1], len(x)), batch_first)


def _reorder(state: State, indices: Tensor | None) -> State:
    return state if indices is None else tuple(one.index_select(1, indices.to(one.device)) for one in state)
