"""What every layer over whole sequences is, whatever it is made of: call forms outside, time-major states inside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seriatim.nn import batch_layout, checks
from seriatim.nn.batch_layout import Either, Every, Flags, Lengths
from seriatim.ops.recurrence import State


class SequenceLayer(nn.Module, ABC):
    """A stack of recurrent layers, in one direction or two: [T, B, input_size] → [T, B, output_size]."""

    input_size: int
    output_size: int
    """Of all directions together."""
    num_layers: int
    batch_first: bool
    bidirectional: bool

    @property
    @abstractmethod
    def state_sizes(self) -> Mapping[str, int]:
        """The width of each state, by its name, in the order in which a call takes and returns them."""

    @abstractmethod
    def run_layers(
        self, x: Tensor, state: State, lengths: Tensor | None, starts: Tensor | None, reverse: bool, every: bool
    ) -> tuple[Tensor, State, Every]:
        """x [T, B, I], states [L·D, B, ·] → output [T, B, D·P], states, and if asked every one [L·D, T, B, ·].

        ``lengths`` [B] are on the CPU; ``starts`` [T, B] marks the steps before which a row's state is set to zero.
        """

    @abstractmethod
    def run(
        self,
        given: Either,
        hx: object,
        lengths: Lengths | None,
        reset: Flags | None,
        reverse: bool,
        return_states: str | None,
    ) -> tuple[Either, State, Every]:
        """Run the stack: any form of input and state → output in the same form, final state as a tuple, every state.

        The last is empty unless ``return_states`` is "all". Raises ``UsageError`` for an argument that does not fit.
        """

    def run_in_layout(
        self,
        weight: Tensor,
        given: Either,
        hx: object,
        lengths: Lengths | None,
        reset: Flags | None,
        reverse: bool,
        return_states: str | None,
    ) -> tuple[Either, State, Every]:
        """``run`` by ``run_layers``, in the dtype and on the device of ``weight``, any of the layer's."""
        form = batch_layout.read(given, lengths, self.input_size, self.batch_first)
        checks.same_kind("input", form.x, weight)
        checks.choice("return_states", return_states, ["all"])
        checks.flag("reverse", reverse)
        starts = None if reset is None else _within(form.reset(reset).to(form.x.device), form.lengths)
        state = self._first_state(form, hx, weight)
        output, state, every = self.run_layers(form.x, state, form.lengths, starts, reverse, return_states == "all")
        return form.output(output), form.state_out(state), {name: form.every(one) for name, one in every.items()}

    def _first_state(self, form: batch_layout.Form, hx: object, weight: Tensor) -> State:
        rows, layers = form.x.shape[1], self.num_layers * (2 if self.bidirectional else 1)
        shapes = {name: (layers, rows, size) for name, size in self.state_sizes.items()}
        state = checks.states(hx, tuple(shapes))
        if state is None:
            return tuple(form.x.new_zeros(shape) for shape in shapes.values())
        state = form.state_in(state)
        for one, (name, shape) in zip(state, shapes.items(), strict=True):
            checks.state(one, name, shape, weight)
        return state


class AnyLayer(SequenceLayer):
    """A layer of cells that may carry any states: a call takes and returns one tensor for one state, or a tuple."""

    def forward(
        self,
        input: Either,
        hx: Any = None,
        *,
        lengths: Lengths | None = None,
        reset: Flags | None = None,
        reverse: bool = False,
        return_states: str | None = None,
    ) -> tuple[Either, Any] | tuple[Either, Any, Every]:
        """Run over whole sequences."""
        output, final, every = self.run(input, hx, lengths, reset, reverse, return_states)
        told = final if len(final) > 1 else final[0]
        return (output, told) if return_states is None else (output, told, every)

    def run(
        self,
        given: Either,
        hx: object,
        lengths: Lengths | None,
        reset: Flags | None,
        reverse: bool,
        return_states: str | None,
    ) -> tuple[Either, State, Every]:
        return self.run_in_layout(next(self.parameters()), given, hx, lengths, reset, reverse, return_states)


def from_the_end(starts: Tensor) -> Tensor:
    """The marks [T, B] for a direction that reads from the end: it enters a sequence where the one after it starts."""
    return torch.cat([starts[1:], torch.zeros_like(starts[:1])])


def _within(starts: Tensor, lengths: Tensor | None) -> Tensor:
    """The marks [T, B] that stand within their rows: what stands beyond an end means nothing."""
    if lengths is None:
        return starts
    return starts & (torch.arange(len(starts))[:, None] < lengths).to(starts.device)
