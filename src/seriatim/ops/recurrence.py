"""Which implementation runs a recurrence: an ordered table, the first that fits is taken.

``SERIATIM_RECURRENCE=composed`` forces one by name for a whole process, ``using("composed")`` for a block.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from seriatim.errors import UsageError, nearest
from seriatim.kernels.weights import Weights
from seriatim.ops import composed, fused
from seriatim.ops.staircase import Run, State, over_lengths
from seriatim.spec import CellSpec

__all__ = ["IMPLEMENTATIONS", "VARIABLE", "Implementation", "State", "Weights", "chosen", "recurrence", "step", "using"]

VARIABLE = "SERIATIM_RECURRENCE"
"""The environment variable that forces an implementation."""

Step: TypeAlias = Callable[[CellSpec, Tensor, State, "Weights[Tensor]"], State]


@dataclass(frozen=True)
class Implementation:
    """One way to run a recurrence."""

    name: str
    fits: Callable[[CellSpec], bool]
    run: Run
    """As ``recurrence``."""
    fits_step: Callable[[CellSpec], bool]
    step: Step
    """As ``step``."""


def _always(spec: CellSpec) -> bool:
    return True


IMPLEMENTATIONS: tuple[Implementation, ...] = (
    Implementation("pytorch", fused.fits, over_lengths(fused.forward), fused.fits_step, fused.step),
    Implementation("composed", _always, over_lengths(composed.forward), _always, composed.step),
)
"""Fastest first; the last fits everything."""

_forced: ContextVar[str | None] = ContextVar("forced", default=None)


def recurrence(
    spec: CellSpec,
    x: Tensor,
    state: State,
    weights: Weights[Tensor],
    lengths: Tensor | None = None,
    reverse: bool = False,
) -> tuple[Tensor, State]:
    """Run one layer in one direction.

    x is [T, B, I] with T ≥ 1, the state tensors [B, ·] in the order of ``spec.states``; ``lengths`` [B] (whole numbers
    from 1 to T, on the CPU, in any order) says how many of a row's steps there are. A row keeps its state beyond its
    length, its output there is 0, and what ``x`` holds there is never read. ``reverse`` reads every row from its own
    last step back. Arguments are not checked here: the layers do that.

    Returns the output [T, B, P or H] (h at each step, where the input stood) and the final state.
    """
    return chosen(spec).run(spec, x, state, weights, lengths, reverse)


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """One step: x [B, I] and the state, tensors [B, ·] → the next state."""
    return chosen(spec, one_step=True).step(spec, x, state, weights)


def chosen(spec: CellSpec, *, one_step: bool = False) -> Implementation:
    """The first implementation that fits, or the one that is forced.

    Raises ``UsageError`` if the forced one does not exist or does not fit.
    """
    name = _forced.get() or os.environ.get(VARIABLE)
    candidates = [_named(name)] if name else IMPLEMENTATIONS
    for candidate in candidates:
        if (candidate.fits_step if one_step else candidate.fits)(spec):
            return candidate
    raise UsageError(f"{VARIABLE}: '{name}' does not run {spec}")


@contextmanager
def using(name: str) -> Iterator[None]:
    """Force the implementation called ``name`` inside a ``with`` block. Raises ``UsageError`` for an unknown name."""
    token = _forced.set(_named(name).name)
    try:
        yield
    finally:
        _forced.reset(token)


def _named(name: str) -> Implementation:
    known = {one.name: one for one in IMPLEMENTATIONS}
    if name not in known:
        raise UsageError(f"{VARIABLE}: no implementation '{name}'{nearest(name, known)}")
    return known[name]
