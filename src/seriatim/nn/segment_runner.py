"""Run a cell over a sequence in segments of K steps, each compiled if asked.

A whole sequence would be compiled anew for each length, and long sequences take long to compile. A segment of K steps
is compiled once. A sequence is run as many segments as fit, and the remaining steps run one by one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeAlias, cast, final

import torch
from torch import Tensor

from seriatim.nn.custom_cell import Cell
from seriatim.ops.recurrence import State

STEPS = 8
"""K."""

StatesAndLast: TypeAlias = tuple[tuple[Tensor, ...], State]
"""(each state at all steps [K, B, ·], the last states)"""


def run_segment(
    cell: Cell, x: Tensor, state: State, in_row: Tensor | None, keeps_state: Tensor | None
) -> StatesAndLast:
    """Run ``cell`` step by step on x [K, B, ·] from the state [B, ·].

    Where ``keeps_state`` [K, B, 1] is False, the state is set to zeros before the step. Where ``in_row`` [K, B, 1] is
    False, the step does not change the state.
    """
    states: list[State] = []
    for step in range(x.shape[0]):
        if keeps_state is not None:
            state = tuple(torch.where(keeps_state[step], part, 0.0) for part in state)
        new = cell(x[step], state)
        new = tuple(part.to(old.dtype) for part, old in zip(new, state, strict=True))  # states stay in their own dtype
        if in_row is not None:
            new = tuple(torch.where(in_row[step], part, old) for part, old in zip(new, state, strict=True))
        state = new
        states.append(state)
    return tuple(torch.stack(parts) for parts in zip(*states, strict=True)), state


@final
class SegmentRunner:
    """Runs a cell over any number of steps. If ``is_compiled``, PyTorch's compiler makes one function of K steps.

    A copy of a runner has compiled nothing yet.
    """

    def __init__(self, is_compiled: bool) -> None:
        self.is_compiled = is_compiled
        self._compiled_segment: Callable[..., StatesAndLast] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return SegmentRunner, (self.is_compiled,)

    def run(
        self, cell: Cell, x: Tensor, state: State, in_row: Tensor | None, keeps_state: Tensor | None
    ) -> StatesAndLast:
        """Do the same as ``run_segment``, for any number of steps."""
        if not self.is_compiled or len(x) < STEPS:
            return run_segment(cell, x, state, in_row, keeps_state)
        if torch.is_grad_enabled():  # the first segment is then compiled like the others, whose states have a history
            state = tuple(part if part.requires_grad else part.detach().requires_grad_() for part in state)
        sizes = _segment_sizes(len(x))
        masks = [
            [None] * len(sizes) if mask is None else torch.split_with_sizes(mask, sizes)
            for mask in (in_row, keeps_state)
        ]
        segments = []
        for segment, *segment_masks in zip(torch.split_with_sizes(x, sizes), *masks, strict=True):
            run = self._run_compiled if len(segment) == STEPS else run_segment
            states, state = run(cell, segment, state, *segment_masks)
            segments.append(states)
        return tuple(torch.cat(parts) for parts in zip(*segments, strict=True)), state

    def _run_compiled(
        self, cell: Cell, x: Tensor, state: State, in_row: Tensor | None, keeps_state: Tensor | None
    ) -> StatesAndLast:
        """Run K steps by the compiled function. If compiling fails, run them step by step, now and from then on."""
        try:
            with warnings.catch_warnings():  # the compiler itself looks at the .grad of a state, and warns about it
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
                warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
                if self._compiled_segment is None:
                    self._compiled_segment = torch.compile(_copied_run_segment())
                return self._compiled_segment(cell, x.contiguous(), state, in_row, keeps_state)
        except Exception as error:
            result = run_segment(cell, x, state, in_row, keeps_state)  # an error of the cell itself is raised again
            self.is_compiled = False
            message = str(error).strip().splitlines() or [""]
            warnings.warn(
                f"{type(cell).__name__} runs step by step, since torch.compile failed: "
                f"{type(error).__name__}: {message[0]}",
                stacklevel=2,
            )
            return result


def _segment_sizes(steps: int) -> list[int]:
    """The number of steps of each segment."""
    whole, rest = divmod(steps, STEPS)
    return [STEPS] * whole + [rest] * (rest > 0)


def _copied_run_segment() -> Callable[..., StatesAndLast]:
    """Copy ``run_segment``. PyTorch limits how often one code object is compiled; layers should not share the limit."""
    copy = FunctionType(run_segment.__code__.replace(), run_segment.__globals__, "run_segment")
    return cast(Callable[..., StatesAndLast], copy)
