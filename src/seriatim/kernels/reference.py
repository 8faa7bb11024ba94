"""The plain twin: one layer in one direction, forward and backward, on NumPy arrays.

The scan walks over time and knows no gates; what a step does is the cell's own file (``_rnn``, ``_lstm``,
``_gru``). float32 stays float32, and float64 is the oracle of every other implementation.

A step of the scan, for each state s of a row (h, or h and c):

s̄ = 0 where the row is reset before this step, s otherwise           (1)
ĥ = d ⊙ h̄,  d the factors of recurrent dropout                       (2)
ŝ = cell(x_t, ĥ, s̄)                                                  (3)
s = k ⊙ s̄ + (1 - k) ⊙ ŝ,  k the share that zoneout keeps             (4)

and s stays as it is where the row has no step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.kernels import _cifg, _gru, _lru, _lstm, _minimal, _rnn, _slstm
from seriatim.kernels.cell import Cell, Floats, State, Tape
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

CELLS: dict[str, Cell] = {
    "rnn": _rnn.CELL,
    "lstm": _lstm.CELL,
    "cifg": _cifg.CELL,
    "gru": _gru.CELL,
    "mingru": _minimal.MIN_GRU,
    "minlstm": _minimal.MIN_LSTM,
    "slstm": _slstm.CELL,
    "lru": _lru.CELL,
}
PLAIN: Walk[NDArray[Any]] = Walk()


@dataclass(frozen=True)
class Course:
    """A walk in the order of the scan's own steps."""

    order: NDArray[np.int64]
    """[T, B, 1]: which step of the input each step of the scan reads; its own inverse."""
    alive: NDArray[np.bool_]
    """[T, B, 1]: whether the row has a step here."""
    reset: NDArray[np.bool_]
    """[T, B, 1]: whether its state is set to zero before."""
    dropout: Floats
    """[B, P or H] or [1, 1]: d."""
    zoneout: tuple[Floats, ...]
    """[T, B, · or 1] per state: k."""

    def along(self, array: NDArray[Any]) -> NDArray[Any]:
        """[T, B, ·] from the input's order to the scan's, or back."""
        return np.take_along_axis(array, self.order, axis=0)


@dataclass(frozen=True)
class Saved:
    """What ``forward`` keeps for ``backward``, and what happened at every step."""

    weights: Weights[Floats]
    course: Course
    tapes: list[Tape]
    gates: Floats
    """[T, B, G, H] in the order of ``spec.gates``, after activation; where the input stood, 0 beyond a row's length."""
    inner: list[Floats]
    """[T, B, H] for each state beside h, as ``gates``."""

    @property
    def cells(self) -> Floats | None:
        """An LSTM's c; None for a cell that carries h alone."""
        return self.inner[0] if self.inner else None


def step(spec: CellSpec, x: Floats, state: State, weights: Weights[Floats]) -> State:
    """One step: x [B, I] and the state, arrays [B, ·] in the order of ``spec.states`` → the next state."""
    return CELLS[spec.kind].step(spec, x, state[0], state, weights)[0]


def forward(
    spec: CellSpec,
    x: Floats,
    state: State,
    weights: Weights[Floats],
    walk: Walk[NDArray[Any]] = PLAIN,
) -> tuple[Floats, State, Saved]:
    """Run a layer over whole sequences.

    x is [T, B, I], each state [B, ·]. Returns the output [T, B, P or H] (h at each step, where the input stood, and 0
    beyond a row's length), the final state, and what ``backward`` needs.
    """
    cell, course = CELLS[spec.kind], _course(spec, x, walk)
    x = np.where(course.alive, course.along(x), 0).astype(x.dtype)  # padding may hold anything, even NaN
    walked = [np.zeros((*x.shape[:2], one.shape[-1]), x.dtype) for one in state]
    gates = np.zeros((*x.shape[:2], len(spec.gates) * spec.hidden_size), x.dtype)
    tapes: list[Tape] = []
    for t in range(len(x)):
        alive = course.alive[t]
        before = tuple(np.where(course.reset[t], 0, one) for one in state)  # (1)
        candidate, of_gates, tape = cell.step(spec, x[t], course.dropout * before[0], before, weights)  # (2), (3)
        kept = (k[t] for k in course.zoneout)
        following = (k * old + (1 - k) * new for k, old, new in zip(kept, before, candidate, strict=True))  # (4)
        state = tuple(np.where(alive, new, old) for new, old in zip(following, state, strict=True))
        for all_steps, one in zip((*walked, gates), (*state, np.concatenate(of_gates, axis=1)), strict=True):
            all_steps[t] = np.where(alive, one, 0)
        tapes.append(tape)
    output, *inner = map(course.along, walked)
    by_gate = course.along(gates).reshape(*x.shape[:2], len(spec.gates), spec.hidden_size)
    return output, state, Saved(weights, course, tapes, by_gate, inner)


def backward(
    spec: CellSpec, grad_output: Floats, grad_state: State, saved: Saved, grad_cells: Floats | None = None
) -> tuple[Floats, State, Weights[Floats]]:
    """Back-propagate through time (Werbos 1990): gradients of x, of the first state and of the weights.

    ``grad_output`` [T, B, P or H] and ``grad_state`` (arrays [B, ·]) are those of ``forward``'s output and final state,
    ``grad_cells`` [T, B, H] that of the second state (an LSTM's c) at every step, None for zero.
    """
    cell, weights, course = CELLS[spec.kind], saved.weights, saved.course
    of_every = [course.along(one) for one in (grad_output, grad_cells) if one is not None]
    grad_x = np.zeros((*grad_output.shape[:2], spec.input_size), grad_output.dtype)
    total = [np.zeros_like(weight) for weight in weights.present()]
    for t in reversed(range(len(saved.tapes))):
        # A row that has no step here passes its gradient on untouched; one that has, hands it to the step.
        here = [one[t] for one in of_every]
        joined = (*(one + more for one, more in zip(grad_state, here, strict=False)), *grad_state[len(here) :])
        into = [np.where(course.alive[t], one, 0) for one in joined]
        kept = [k[t] for k in course.zoneout]
        to_candidate = tuple((1 - k) * one for k, one in zip(kept, into, strict=True))  # (4)
        grad_x[t], of_h, of_state, of_weights = cell.step_backward(spec, to_candidate, saved.tapes[t], weights)  # (3)
        direct = [one + k * more for one, k, more in zip(of_state, kept, into, strict=True)]  # (3), (4)
        direct[0] = direct[0] + course.dropout * of_h  # (2)
        before = [np.where(course.reset[t], 0, one) for one in direct]  # (1)
        grad_state = tuple(np.where(course.alive[t], new, old) for new, old in zip(before, grad_state, strict=True))
        for summed, grad in zip(total, of_weights.present(), strict=True):
            summed += grad
    return course.along(grad_x), grad_state, weights.like(total)


def _course(spec: CellSpec, x: Floats, walk: Walk[NDArray[Any]]) -> Course:
    steps, rows = x.shape[:2]
    time = np.arange(steps)[:, None]
    ends = np.full(rows, steps) if walk.lengths is None else np.asarray(walk.lengths)
    alive = time < ends
    order = np.where(alive & walk.reverse, ends - 1 - time, time)[:, :, None]

    def along(array: NDArray[Any] | None, absent: NDArray[Any]) -> NDArray[Any]:
        array = absent if array is None else array
        return np.take_along_axis(np.broadcast_to(array, (steps, rows, array.shape[-1])), order, axis=0)

    none = np.zeros((1, 1, 1), x.dtype)
    reset = None if walk.reset is None else walk.reset[:, :, None]
    return Course(
        order=order,
        alive=alive[:, :, None],
        reset=along(reset, np.zeros((1, 1, 1), np.bool_)),
        dropout=np.ones((1, 1), x.dtype) if walk.dropout is None else walk.dropout,
        zoneout=tuple(along(one, none).astype(x.dtype) for one in walk.zoneout or (None,) * len(spec.states)),
    )
