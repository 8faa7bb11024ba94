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

import torch
from torch import Tensor

from seriatim.errors import UsageError, nearest
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import composed, native
from seriatim.ops import linear_cells as diagonal
from seriatim.ops import projected_gru as folded
from seriatim.ops import pytorch as fused
from seriatim.ops.variable_length import Run, State, over_lengths
from seriatim.spec import CellSpec

__all__ = [
    "IMPLEMENTATIONS", "VARIABLE", "Implementation", "State", "Walk", "Weights", "chosen", "chosen_step", "forced",
    "recurrence", "recurrence_every", "step", "using",
]  # fmt: skip

VARIABLE = "SERIATIM_RECURRENCE"
"""The environment variable that forces an implementation."""

Step: TypeAlias = Callable[[CellSpec, Tensor, State, "Weights[Tensor]"], State]
Every: TypeAlias = Callable[
    [CellSpec, Tensor, State, "Weights[Tensor]", "Walk[Tensor]"], tuple[Tensor, State, dict[str, Tensor]]
]


@dataclass(frozen=True)
class Implementation:
    """One way to run a recurrence."""

    name: str
    fits: Callable[[CellSpec, Tensor, Walk[Tensor]], bool]
    """Whether it runs this cell on this input, by device and dtype, as this walk asks."""
    run: Run
    """As ``recurrence``."""
    fits_step: Callable[[CellSpec, Tensor], bool]
    step: Step
    """As ``step``."""
    every: Every | None = None
    """As ``recurrence_every``; None if it cannot tell what happens inside."""


IMPLEMENTATIONS: tuple[Implementation, ...] = (
    Implementation("native", native.fits, native.run, native.fits_step, native.step, native.every),
    Implementation("folded", folded.fits, folded.run, lambda spec, x: False, composed.step),
    Implementation("scan", diagonal.fits, diagonal.run, lambda spec, x: False, composed.step, diagonal.every),
    Implementation("pytorch", fused.fits, over_lengths(fused.forward), fused.fits_step, fused.step),
    Implementation(
        "composed",
        lambda spec, x, walk: True,
        composed.forward,
        lambda spec, x: True,
        composed.step,
        composed.every,
    ),
)
"""Fastest first; the last fits everything."""

PLAIN: Walk[Tensor] = Walk()

of_process: str | None = os.environ.get(VARIABLE)
"""Read when the process starts: to ask the environment costs as much as a check of all the weights."""
_forced: ContextVar[str | None] = ContextVar("forced", default=None)


def recurrence(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State]:
    """Run one layer in one direction.

    x is [T, B, I] with T ≥ 1, the state tensors [B, ·] in the order of ``spec.states``; what the walk holds is as
    ``kernels.walk`` describes it: lengths on the CPU, masks where x is. Gradients reach x, the state and the weights,
    not the masks. Arguments are not checked here: the layers do that.

    Returns the output [T, B, P or H] (h at each step, where the input stood) and the final state.
    """
    return chosen(spec, x, walk).run(spec, x, state, weights, walk)


def recurrence_every(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """``recurrence``, and what else happened at every step: a tensor [T, B, H] for each name in ``spec.traced``.

    c is a part of the graph; the gates are detached. All are 0 beyond a row's length.
    """
    run = chosen(spec, x, walk, every=True).every
    assert run is not None
    return run(spec, x, state, weights, walk)


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """One step: x [B, I] and the state, tensors [B, ·] → the next state."""
    return chosen_step(spec, x).step(spec, x, state, weights)


def chosen(spec: CellSpec, x: Tensor, walk: Walk[Tensor] = PLAIN, *, every: bool = False) -> Implementation:
    """The first implementation that fits (and tells ``every`` c and gate), or the one that is forced.

    Raises ``UsageError`` if the forced one does not exist or does not fit.
    """
    for candidate in _candidates():
        if candidate.fits(spec, x, walk) and not (every and candidate.every is None):
            return candidate
    asked = [name for name in ("lengths", "reverse", "reset", "dropout", "zoneout") if _asks(getattr(walk, name))]
    asked += ["return_states"] if every else []
    beside = f" with {', '.join(asked)}" if asked else ""
    raise UsageError(f"{VARIABLE}: '{_candidates()[0].name}' does not run {spec}{beside}")


def chosen_step(spec: CellSpec, x: Tensor) -> Implementation:
    """As ``chosen``, for one step."""
    for candidate in _candidates():
        if candidate.fits_step(spec, x):
            return candidate
    raise UsageError(f"{VARIABLE}: '{_candidates()[0].name}' does not run one step of {spec}")


def _candidates() -> tuple[Implementation, ...]:
    name = forced()
    return (_named(name),) if name else IMPLEMENTATIONS


def forced() -> str | None:
    """The name of the implementation that is forced, if one is."""
    within = None if torch.compiler.is_compiling() else _forced.get()  # torch.compile cannot read a context variable
    return within or of_process


def _asks(value: object) -> bool:
    return value is not None and value is not False and value != ()


@contextmanager
def using(name: str) -> Iterator[None]:
    """Force the implementation called ``name`` inside a ``with`` block; ``torch.compile`` does not see it.

    Raises ``UsageError`` for an unknown name.
    """
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
