"""Layouts of a batch: the forms in which a layer takes its input and state, and the one form in which it works.

Inside, a layer works on ``x [T, B, I]``, states ``[L·D, B, ·]``, ``lengths [B]`` or None and ``reset [T, B]`` or None.
A layout converts the caller's tensors into these, and output and states into what PyTorch's layers would return.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from seriatim.errors import TensorError, UsageError
from seriatim.nn import checks
from seriatim.nn.packing import Places, repacked, unpacked
from seriatim.ops.recurrence import State

ResetMarks: TypeAlias = Tensor | Sequence[object]
Lengths: TypeAlias = Tensor | Sequence[int]
TensorOrPacked: TypeAlias = Tensor | PackedSequence
AllStates: TypeAlias = dict[str, Tensor]
"""States and gates at each step, by their names."""


class BatchLayout(ABC):
    """One form of a batch. *Inner* tensors are those that a layer works on, *outer* tensors are the caller's."""

    x: Tensor
    """[T, B, I]"""
    lengths: Tensor | None
    """[B], int64 on the CPU."""

    @abstractmethod
    def inner_state(self, state: State) -> State:
        """The caller's state as [L·D, B, ·], with rows in the order of ``x``."""

    @abstractmethod
    def outer_state(self, state: State) -> State:
        """The inverse of ``inner_state``."""

    @abstractmethod
    def outer_output(self, output: Tensor) -> Tensor | PackedSequence:
        """The output [T, B, D·P] in the caller's form."""

    @abstractmethod
    def inner_reset(self, reset: ResetMarks) -> Tensor:
        """The caller's reset marks as [T, B]. Raises ``UsageError`` if they do not fit."""

    @abstractmethod
    def outer_all_states(self, values: Tensor) -> Tensor:
        """Values of each step [L·D, T, B, ·] with the caller's axes, padded."""


@dataclass
class Batched(BatchLayout):
    """[T, B, I], or [B, T, I] with ``batch_first``."""

    x: Tensor
    lengths: Tensor | None
    batch_first: bool

    def inner_state(self, state: State) -> State:
        return state

    def outer_state(self, state: State) -> State:
        return state

    def outer_output(self, output: Tensor) -> Tensor:
        return output.transpose(0, 1) if self.batch_first else output

    def inner_reset(self, reset: ResetMarks) -> Tensor:
        steps, rows = self.x.shape[:2]
        if self.batch_first:
            return checks.mask("reset", reset, (rows, steps), "[B, T]").transpose(0, 1)
        return checks.mask("reset", reset, (steps, rows), "[T, B]")

    def outer_all_states(self, values: Tensor) -> Tensor:
        return values.transpose(1, 2) if self.batch_first else values


@dataclass
class Unbatched(BatchLayout):
    """One sequence [T, I], with states [L·D, ·]."""

    x: Tensor
    lengths: Tensor | None = None

    def inner_state(self, state: State) -> State:
        for part in state:
            checks.dimensions("hx", part, {2: "[layers, size], since the input has no batch axis"})
        return tuple(part.unsqueeze(1) for part in state)

    def outer_state(self, state: State) -> State:
        return tuple(part.squeeze(1) for part in state)

    def outer_output(self, output: Tensor) -> Tensor:
        return output.squeeze(1)

    def inner_reset(self, reset: ResetMarks) -> Tensor:
        return checks.mask("reset", reset, (self.x.shape[0],), "[T]").unsqueeze(1)

    def outer_all_states(self, values: Tensor) -> Tensor:
        return values.squeeze(2)


@dataclass
class Packed(BatchLayout):
    """A ``PackedSequence``: rows in order of falling length inside, states in the caller's order outside."""

    packed: PackedSequence
    x: Tensor
    lengths: Tensor | None
    places: Places

    def inner_state(self, state: State) -> State:
        for part in state:
            checks.rows(part, self.x.shape[1])
        return _reorder(state, self.packed.sorted_indices)

    def outer_state(self, state: State) -> State:
        return _reorder(state, self.packed.unsorted_indices)

    def inner_reset(self, reset: ResetMarks) -> Tensor:
        marks = checks.mask("reset", reset, tuple(self.x.shape[:2]), "[T, B]")
        return _reorder((marks,), self.packed.sorted_indices)[0]

    def outer_all_states(self, values: Tensor) -> Tensor:
        indices = self.packed.unsorted_indices
        return values if indices is None else values.index_select(2, indices)

    def outer_output(self, output: Tensor) -> PackedSequence:
        packed = self.packed
        data = repacked(output, self.places)
        return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)


def recognise(
    input: Tensor | PackedSequence, lengths: Tensor | Sequence[int] | None, input_size: int, batch_first: bool
) -> BatchLayout:
    """Return the layout of ``input``. Raises ``UsageError`` for an input or lengths that fit no layout."""
    if isinstance(input, PackedSequence):
        if lengths is not None:
            raise UsageError("lengths: got lengths with a PackedSequence, which has its own; wanted one of the two")
        checks.dimensions("input", input.data, {2: "packed data [sum of lengths, input_size]"})
        checks.width(input.data, input_size)
        padded, its_lengths, places = unpacked(input)
        return Packed(input, padded, its_lengths, places)

    if not isinstance(input, Tensor):
        raise UsageError(f"input: got {type(input).__name__}, wanted a tensor or a PackedSequence")
    batched = "[B, T, I]" if batch_first else "[T, B, I]"
    checks.dimensions("input", input, {2: "[T, I]", 3: batched})
    checks.width(input, input_size)
    x = input.unsqueeze(1) if input.dim() == 2 else input.transpose(0, 1) if batch_first else input
    if x.shape[0] == 0:  # ``len`` would fix T in an exported program
        raise TensorError(f"input: got {list(input.shape)}, wanted at least one step")
    if input.dim() == 2:
        if lengths is not None:
            raise UsageError("lengths: got lengths for one sequence [T, I], wanted a batch")
        return Unbatched(x)
    return Batched(x, None if lengths is None else checks.lengths(lengths, x.shape[1], x.shape[0]), batch_first)


def _reorder(state: State, indices: Tensor | None) -> State:
    return state if indices is None else tuple(part.index_select(1, indices.to(part.device)) for part in state)
