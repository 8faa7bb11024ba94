"""The plain twin: one layer in one direction, forward and backward, on NumPy arrays.

The scan walks over time and knows no gates; what a step does is the cell's own file (``_rnn``, ``_lstm``,
``_gru``). float32 stays float32, and float64 is the oracle of every other implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.kernels import _gru, _lstm, _rnn
from seriatim.kernels.cell import Cell, Floats, State, Tape
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

CELLS: dict[str, Cell] = {"rnn": _rnn.CELL, "lstm": _lstm.CELL, "gru": _gru.CELL}


@dataclass(frozen=True)
class Saved:
    """What ``forward`` keeps for ``backward``."""

    weights: Weights[Floats]
    tapes: list[Tape]
    alive: NDArray[np.bool_]
    """[T, B, 1]: whether the row has a step here."""
    order: NDArray[np.int64]
    """[T, B, 1]: which step of the input each step of the scan reads."""


def step(spec: CellSpec, x: Floats, state: State, weights: Weights[Floats]) -> State:
    """One step: x [B, I] and the state, arrays [B, ·] in the order of ``spec.states`` → the next state."""
    return CELLS[spec.kind].step(spec, x, state, weights)[0]


def forward(
    spec: CellSpec,
    x: Floats,
    state: State,
    weights: Weights[Floats],
    lengths: NDArray[np.integer[Any]] | None = None,
    reverse: bool = False,
) -> tuple[Floats, State, Saved]:
    """Run a layer over whole sequences.

    x is [T, B, I], each state [B, ·]; ``lengths`` [B] says how many of a row's T steps there are. A row keeps its
    state beyond its length, and its output there is 0. ``reverse`` reads every row from its own last step back.

    Returns the output [T, B, P or H] (h at each step, where the input stood), the final state, and what
    ``backward`` needs.
    """
    cell = CELLS[spec.kind]
    order, alive = _walk(len(x), x.shape[1], lengths, reverse)
    x = np.where(alive, np.take_along_axis(x, order, axis=0), 0).astype(x.dtype)  # padding may hold anything, even NaN
    tapes: list[Tape] = []
    output = np.zeros((*x.shape[:2], spec.output_size), x.dtype)
    for t in range(len(x)):
        following, tape = cell.step(spec, x[t], state, weights)
        state = tuple(np.where(alive[t], new, old) for new, old in zip(following, state, strict=True))
        output[t] = np.where(alive[t], state[0], 0)
        tapes.append(tape)
    return np.take_along_axis(output, order, axis=0), state, Saved(weights, tapes, alive, order)


def backward(
    spec: CellSpec, grad_output: Floats, grad_state: State, saved: Saved
) -> tuple[Floats, State, Weights[Floats]]:
    """Back-propagate through time (Werbos 1990): gradients of x, of the first state and of the weights.

    ``grad_output`` [T, B, P or H] and ``grad_state`` (arrays [B, ·]) are those of ``forward``'s output and final state.
    """
    cell, weights, alive = CELLS[spec.kind], saved.weights, saved.alive
    grad_output = np.take_along_axis(grad_output, saved.order, axis=0)
    grad_x = np.zeros((*grad_output.shape[:2], spec.input_size), grad_output.dtype)
    total = [np.zeros_like(weight) for weight in weights.present()]
    for t in reversed(range(len(saved.tapes))):
        # A row that has no step here passes its gradient on untouched; one that has, hands it to the step.
        into = (grad_state[0] + grad_output[t], *grad_state[1:])
        into = tuple(np.where(alive[t], grad, 0) for grad in into)
        grad_x[t], before, of_weights = cell.step_backward(spec, into, saved.tapes[t], weights)
        grad_state = tuple(np.where(alive[t], new, old) for new, old in zip(before, grad_state, strict=True))
        for summed, grad in zip(total, of_weights.present(), strict=True):
            summed += grad
    return np.take_along_axis(grad_x, saved.order, axis=0), grad_state, weights.like(total)


def _walk(
    steps: int, rows: int, lengths: NDArray[np.integer[Any]] | None, reverse: bool
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Which step is read when, and who is alive then: [T, B, 1] each. The order is its own inverse."""
    time = np.arange(steps)[:, None]
    ends = np.full(rows, steps) if lengths is None else np.asarray(lengths)
    alive = time < ends
    order = np.where(alive & reverse, ends - 1 - time, time)
    return order[:, :, None], alive[:, :, None]
