"""Base classes of all layers over whole sequences: call forms outside, time-major tensors inside."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, overload

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from seriatim.nn import batch_layout, checks
from seriatim.nn.batch_layout import AllStates, Lengths, ResetMarks, TensorOrPacked
from seriatim.ops.recurrence import State

StateT = TypeVar("StateT")


class SequenceLayer(nn.Module, metaclass=ABCMeta):
    """A stack of recurrent layers, in one direction or two: [T, B, input_size] → [T, B, output_size]."""

    input_size: int
    output_size: int
    """The width of the output, of all directions together."""
    num_layers: int
    batch_first: bool
    bidirectional: bool

    @property
    @abstractmethod
    def state_sizes(self) -> Mapping[str, int]:
        """The width of each state by its name, in the order in which a call takes and returns them."""

    @abstractmethod
    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, reset: Tensor | None, reverse: bool, all_states: bool
    ) -> tuple[Tensor, State, AllStates]:
        """Run the layers on x [T, B, I] from states [L·D, B, ·].

        Returns the output [T, B, D·P], the final states and, with ``all_states``, the states at each step
        [L·D, T, B, ·]. ``lengths`` [B] are on the CPU. ``reset`` [T, B] marks the steps before which a row's state is
        set to zero.
        """

    @abstractmethod
    def run(
        self,
        input: TensorOrPacked,
        hx: object,
        lengths: Lengths | None,
        reset: ResetMarks | None,
        reverse: bool,
        return_states: str | None,
    ) -> tuple[TensorOrPacked, State, AllStates]:
        """Run the layers on an input in any layout.

        Returns the output in the same layout, the final states as a tuple, and the states at each step; the last is
        empty unless ``return_states`` is "all". Raises ``UsageError`` for an argument that does not fit.
        """

    def run_in_layout(
        self,
        weight: Tensor,
        input: TensorOrPacked,
        hx: object,
        lengths: Lengths | None,
        reset: ResetMarks | None,
        reverse: bool,
        return_states: str | None,
        run_layers: Callable[..., tuple[Tensor, State, AllStates]] | None = None,
    ) -> tuple[TensorOrPacked, State, AllStates]:
        """Implement ``run`` by ``run_layers``. ``weight`` is any weight of the layer: it gives dtype and device."""
        layout = batch_layout.recognise(input, lengths, self.input_size, self.batch_first)
        checks.same_dtype_and_device("input", layout.x, weight)
        checks.choice("return_states", return_states, ["all"])
        checks.flag("reverse", reverse)
        marks = None
        if reset is not None:
            marks = _without_padding(layout.inner_reset(reset).to(layout.x.device), layout.lengths)
        state = self._first_state(layout, hx, weight)
        run_layers = run_layers or self.run_layers
        output, state, states = run_layers(layout.x, state, layout.lengths, marks, reverse, return_states == "all")
        states = {name: layout.outer_all_states(values) for name, values in states.items()}
        return layout.outer_output(output), layout.outer_state(state), states

    def _first_state(self, layout: batch_layout.BatchLayout, hx: object, weight: Tensor) -> State:
        rows, layers = layout.x.shape[1], self.num_layers * (2 if self.bidirectional else 1)
        shapes = {name: (layers, rows, size) for name, size in self.state_sizes.items()}
        state = checks.states(hx, tuple(shapes))
        if state is None:
            return tuple(layout.x.new_zeros(shape) for shape in shapes.values())
        state = layout.inner_state(state)
        for part, (name, shape) in zip(state, shapes.items(), strict=True):
            checks.state(part, name, shape, weight)
        return state


class CallableLayer(SequenceLayer, Generic[StateT]):
    """A layer whose calls take and return the state as ``StateT``: one tensor for one state, a tuple for several."""

    @overload
    def forward(
        self, input: Tensor, hx: StateT | None = None, *, lengths: Lengths | None = None,
        reset: ResetMarks | None = None, reverse: bool = False, return_states: None = None,
    ) -> tuple[Tensor, StateT]: ...  # fmt: skip
    @overload
    def forward(
        self, input: PackedSequence, hx: StateT | None = None, *, lengths: None = None,
        reset: ResetMarks | None = None, reverse: bool = False, return_states: None = None,
    ) -> tuple[PackedSequence, StateT]: ...  # fmt: skip
    @overload
    def forward(
        self, input: TensorOrPacked, hx: StateT | None = None, *, lengths: Lengths | None = None,
        reset: ResetMarks | None = None, reverse: bool = False, return_states: str,
    ) -> tuple[TensorOrPacked, StateT, AllStates]: ...  # fmt: skip
    def forward(
        self,
        input: TensorOrPacked,
        hx: StateT | None = None,
        *,
        lengths: Lengths | None = None,
        reset: ResetMarks | None = None,
        reverse: bool = False,
        return_states: str | None = None,
    ) -> tuple[TensorOrPacked, StateT] | tuple[TensorOrPacked, StateT, AllStates]:
        """Run over whole sequences; ``seriatim.nn.layers`` lists the forms of a call."""
        output, final, states = self.run(input, hx, lengths, reset, reverse, return_states)
        h_n: Any = final if len(final) > 1 else final[0]
        return (output, h_n) if return_states is None else (output, h_n, states)


class AnyLayer(CallableLayer[Any]):
    """A layer of cells with any states, which has no path of its own past ``run_in_layout``."""

    def run(
        self,
        input: TensorOrPacked,
        hx: object,
        lengths: Lengths | None,
        reset: ResetMarks | None,
        reverse: bool,
        return_states: str | None,
    ) -> tuple[TensorOrPacked, State, AllStates]:
        return self.run_in_layout(next(self.parameters()), input, hx, lengths, reset, reverse, return_states)


def reversed_reset(reset: Tensor) -> Tensor:
    """Reset marks [T, B] for a direction that reads from the end: it enters a sequence where the next one starts."""
    return torch.cat([reset[1:], torch.zeros_like(reset[:1])])


def _without_padding(reset: Tensor, lengths: Tensor | None) -> Tensor:
    """Remove the reset marks [T, B] beyond the end of a row, which have no meaning."""
    if lengths is None:
        return reset
    return reset & (torch.arange(len(reset))[:, None] < lengths).to(reset.device)
