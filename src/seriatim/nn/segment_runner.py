"""K steps of a cell in one go, compiled if asked: what PyTorch's compiler is given of a recurrence.

A whole sequence would be compiled anew for every length, for longer the longer it is. A stretch of K steps is compiled
once, and a sequence is as many of them as fit; the steps that are left run one by one.
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

Outcome: TypeAlias = tuple[tuple[Tensor, ...], State]
"""(every state [K, B, ·], the last state)"""


def stretch(cell: Cell, x: Tensor, state: State, alive: Tensor | None, kept: Tensor | None) -> Outcome:
    """x [K, B, ·], the state [B, ·] → every state and the last.

    Where ``kept`` [K, B, 1] is False the state is zeros before the step, and where ``alive`` [K, B, 1] is, it stays
    what it was.
    """
    every: list[State] = []
    for step in range(x.shape[0]):
        if kept is not None:
            state = tuple(torch.where(kept[step], one, 0.0) for one in state)
        new = cell(x[step], state)
        new = tuple(one.to(old.dtype) for one, old in zip(new, state, strict=True))  # bf16 computes, it does not keep
        if alive is not None:
            new = tuple(torch.where(alive[step], one, old) for one, old in zip(new, state, strict=True))
        state = new
        every.append(state)
    return tuple(torch.stack(one) for one in zip(*every, strict=True)), state


@final
class Runner:
    """Runs a cell over any number of steps; ``compiled``: K at a time by PyTorch's compiler, if it can.

    A copy of it has compiled nothing yet.
    """

    def __init__(self, compiled: bool) -> None:
        self.compiled = compiled
        self._fast: Callable[..., Outcome] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Runner, (self.compiled,)

    def run(self, cell: Cell, x: Tensor, state: State, alive: Tensor | None, kept: Tensor | None) -> Outcome:
        """As ``stretch``, for any number of steps."""
        if not self.compiled or len(x) < STEPS:
            return stretch(cell, x, state, alive, kept)
        if torch.is_grad_enabled():  # the first stretch is compiled as the others are, which do have a history
            state = tuple(one if one.requires_grad else one.detach().requires_grad_() for one in state)
        pieces = []
        parts = torch.split_with_sizes(x, _stretches(len(x)))
        masks = [
            [None] * len(parts) if one is None else torch.split_with_sizes(one, _stretches(len(x)))
            for one in (alive, kept)
        ]
        for part, of_alive, of_kept in zip(parts, *masks, strict=True):
            run = self._stretch if len(part) == STEPS else stretch
            every, state = run(cell, part, state, of_alive, of_kept)
            pieces.append(every)
        return tuple(torch.cat(one) for one in zip(*pieces, strict=True)), state

    def _stretch(self, cell: Cell, x: Tensor, state: State, alive: Tensor | None, kept: Tensor | None) -> Outcome:
        """K steps by the compiler; by PyTorch as it is, from then on, where the compiler fails."""
        try:
            with warnings.catch_warnings():  # PyTorch looks at the .grad of a state while it compiles, and warns itself
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor that is not a leaf")
                warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
                if self._fast is None:
                    self._fast = torch.compile(_of_its_own())
                return self._fast(cell, x.contiguous(), state, alive, kept)
        except Exception as error:
            found = stretch(cell, x, state, alive, kept)  # raises it again if it is the cell's own
            self.compiled = False
            said = str(error).strip().splitlines() or [""]
            warnings.warn(
                f"{type(cell).__name__} runs step by step, since torch.compile failed: "
                f"{type(error).__name__}: {said[0]}",
                stacklevel=2,
            )
            return found


def _stretches(steps: int) -> list[int]:
    """How many steps each stretch has."""
    whole, rest = divmod(steps, STEPS)
    return [STEPS] * whole + [rest] * (rest > 0)


def _of_its_own() -> Callable[..., Outcome]:
    """A copy of ``stretch``: PyTorch counts by code how often it may compile anew, and layers should not share that."""
    copy = FunctionType(stretch.__code__.replace(), stretch.__globals__, "stretch")
    return cast(Callable[..., Outcome], copy)
