"""The table of implementations of a recurrence. For each call the first row that fits is taken.

A stack of layers, or a cell, asks the table once when it is made for its eager path (``eager_stack``, ``eager_cell``).
A call that does not fit that path asks once for the whole stack (``chosen``), or for the step (``step``).

``SERIATIM_RECURRENCE=composed`` forces a row by its name for a whole process, ``using("composed")`` for a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from seriatim.errors import UsageError, nearest
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import composed, eager_cells, eager_layers, linear_cells, native, projected_gru, pytorch
from seriatim.ops.eager import EAGER, VARIABLE, block_choice, forced, is_standard_cell
from seriatim.ops.eager_cells import EagerCell
from seriatim.ops.eager_layers import EagerStack
from seriatim.ops.variable_length import Run, State
from seriatim.spec import CellSpec

__all__ = [
    "IMPLEMENTATIONS", "VARIABLE", "Implementation", "State", "Walk", "Weights", "chosen", "chosen_step", "eager_cell",
    "eager_stack", "forced", "recurrence", "recurrence_with_states", "step", "using",
]  # fmt: skip

Step: TypeAlias = Callable[[CellSpec, Tensor, State, "Weights[Tensor]"], State]
RunWithStates: TypeAlias = Callable[
    [CellSpec, Tensor, State, "Weights[Tensor]", "Walk[Tensor]"], tuple[Tensor, State, dict[str, Tensor]]
]


@dataclass(frozen=True)
class Implementation:
    """One way to run a recurrence."""

    name: str
    fits: Callable[[CellSpec, Tensor, Walk[Tensor]], bool]
    """Whether it runs this cell on this input, by device and dtype, along this walk."""
    run: Run
    """As ``recurrence``."""
    fits_step: Callable[[CellSpec, Tensor], bool] | None = None
    """Whether it runs one step; None if it never does."""
    step: Step | None = None
    """As ``step``."""
    run_with_states: RunWithStates | None = None
    """As ``recurrence_with_states``; None if it cannot return the states and gates of each step."""
    stack: Callable[[Sequence[CellSpec], Sequence[tuple[str, ...]]], EagerStack] | None = None
    """Runs a whole stack of layers in one call."""
    cell: Callable[[CellSpec, tuple[str, ...]], EagerCell] | None = None
    """Runs a cell from its module's parameters."""


IMPLEMENTATIONS: tuple[Implementation, ...] = (
    Implementation(
        EAGER, eager_layers.fits, eager_layers.run, eager_cells.fits_step, eager_cells.step, stack=EagerStack,
        cell=EagerCell,
    ),
    Implementation("native", native.fits, native.run, native.fits_step, native.step, native.run_with_states),
    Implementation("folded", projected_gru.fits, projected_gru.run),
    Implementation("scan", linear_cells.fits, linear_cells.run, run_with_states=linear_cells.run_with_states),
    Implementation("pytorch", pytorch.fits, pytorch.run, pytorch.fits_step, pytorch.step),
    Implementation(
        "composed", composed.fits, composed.run, composed.fits_step, composed.step, composed.run_with_states
    ),
)  # fmt: skip
"""Fastest first. The last row fits everything."""

PLAIN: Walk[Tensor] = Walk()


def eager_stack(specs: Sequence[CellSpec], names: Sequence[tuple[str, ...]]) -> EagerStack | None:
    """The table's fast path for a whole stack of layers, or None for cells that have none.

    ``specs`` has one spec for each layer; ``names`` the parameters' names for each layer and direction.
    """
    row = next((row for row in IMPLEMENTATIONS if row.stack is not None), None)
    return row.stack(specs, names) if row and row.stack and all(map(is_standard_cell, specs)) else None


def eager_cell(spec: CellSpec, names: tuple[str, ...]) -> EagerCell | None:
    """The table's fast path for a cell with parameters of these names, or None for a cell that has none."""
    row = next((row for row in IMPLEMENTATIONS if row.cell is not None), None)
    return row.cell(spec, names) if row and row.cell and is_standard_cell(spec) else None


def recurrence(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State]:
    """Run one layer in one direction.

    x is [T, B, I] with T ≥ 1, and the state tensors [B, ·] in the order of ``spec.states``. The walk is as in
    ``kernels.walk``, with lengths on the CPU and masks on the device of x. Gradients reach x, the state and the
    weights, not the masks. The layers check arguments; this function does not.

    Returns the output [T, B, P or H] (h at each step) and the final state.
    """
    return chosen(spec, x, walk).run(spec, x, state, weights, walk)


def recurrence_with_states(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """``recurrence``, and a tensor [T, B, H] for each name in ``spec.traced``: other states and gates of each step.

    The states are a part of the graph; the gates are detached. All are 0 beyond a row's length.
    """
    run = chosen(spec, x, walk, with_states=True).run_with_states
    assert run is not None
    return run(spec, x, state, weights, walk)


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """One step: x [B, I] and the state, tensors [B, ·] → the next state."""
    run = chosen_step(spec, x).step
    assert run is not None
    return run(spec, x, state, weights)


def chosen(spec: CellSpec, x: Tensor, walk: Walk[Tensor] = PLAIN, *, with_states: bool = False) -> Implementation:
    """The first implementation that fits, and can return the states if ``with_states``; or the forced one.

    Raises ``UsageError`` if the forced one does not exist or does not fit.
    """
    for candidate in _candidates():
        if candidate.fits(spec, x, walk) and not (with_states and candidate.run_with_states is None):
            return candidate
    options = [name for name in ("lengths", "reverse", "reset", "dropout", "zoneout") if _is_set(getattr(walk, name))]
    options += ["return_states"] if with_states else []
    suffix = f" with {', '.join(options)}" if options else ""
    raise UsageError(f"{VARIABLE}: '{_candidates()[0].name}' does not run {spec}{suffix}")


def chosen_step(spec: CellSpec, x: Tensor) -> Implementation:
    """As ``chosen``, for one step."""
    for candidate in _candidates():
        if candidate.fits_step is not None and candidate.fits_step(spec, x):
            return candidate
    raise UsageError(f"{VARIABLE}: '{_candidates()[0].name}' does not run one step of {spec}")


def _candidates() -> tuple[Implementation, ...]:
    name = forced()
    return (_named(name),) if name else IMPLEMENTATIONS


def _is_set(value: object) -> bool:
    return value is not None and value is not False and value != ()


@contextmanager
def using(name: str) -> Iterator[None]:
    """Force the implementation called ``name`` inside a ``with`` block. ``torch.compile`` does not see it.

    Raises ``UsageError`` for an unknown name.
    """
    token = block_choice.set(_named(name).name)
    try:
        yield
    finally:
        block_choice.reset(token)


def _named(name: str) -> Implementation:
    known = {row.name: row for row in IMPLEMENTATIONS}
    if name not in known:
        raise UsageError(f"{VARIABLE}: no implementation '{name}'{nearest(name, known)}")
    return known[name]
