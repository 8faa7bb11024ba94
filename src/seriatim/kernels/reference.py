"""The plain twin: one layer in one direction, forward and backward, on NumPy arrays.

The scan goes through time and does not depend on the cell. Each cell has its own file (``_rnn``, ``_lstm``,
``_gru``, …). float32 stays float32; float64 is the oracle of every other implementation.

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
from seriatim.kernels.cell import CellFunctions, Floats, State, Tape
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

CELLS: dict[str, CellFunctions] = {
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
class Schedule:
    """A walk in the order of the scan's own steps."""

    order: NDArray[np.int64]
    """[T, B, 1]: the step of the input that each step of the scan reads. It is its own inverse."""
    alive: NDArray[np.bool_]
    """[T, B, 1]: whether the row has a step here."""
    reset: NDArray[np.bool_]
    """[T, B, 1]: whether the row's state is set to zero before this step."""
    dropout: Floats
    """[B, P or H] or [1, 1]: d."""
    zoneout: tuple[Floats, ...]
    """[T, B, · or 1] per state: k."""

    def along(self, array: NDArray[Any]) -> NDArray[Any]:
        """Bring [T, B, ·] from the order of the input to the order of the scan, or back."""
        return np.take_along_axis(array, self.order, axis=0)


@dataclass(frozen=True)
class Saved:
    """The values that ``backward`` needs, and the gates and states of every step."""

    weights: Weights[Floats]
    schedule: Schedule
    tapes: list[Tape]
    gates: Floats
    """[T, B, G, H] in the order of ``spec.gates``, after activation, in input order; 0 beyond a row's length."""
    inner: list[Floats]
    """[T, B, H] for each state beside h, in the same order."""

    @property
    def cells(self) -> Floats | None:
        """c of an LSTM; None for a cell with the single state h."""
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

    x is [T, B, I], each state [B, ·]. Returns the output [T, B, P or H] (h at each step, at the time of the input; 0
    beyond a row's length), the final state, and the values that ``backward`` needs.
    """
    cell, schedule = CELLS[spec.kind], _schedule(spec, x, walk)
    x = np.where(schedule.alive, schedule.along(x), 0).astype(x.dtype)  # padding may hold anything, even NaN
    states = [np.zeros((*x.shape[:2], part.shape[-1]), x.dtype) for part in state]
    gates = np.zeros((*x.shape[:2], len(spec.gates) * spec.hidden_size), x.dtype)
    tapes: list[Tape] = []
    for t in range(len(x)):
        alive = schedule.alive[t]
        old_state = tuple(np.where(schedule.reset[t], 0, part) for part in state)  # (1)
        candidate, step_gates, tape = cell.step(
            spec, x[t], schedule.dropout * old_state[0], old_state, weights
        )  # (2), (3)
        shares = (k[t] for k in schedule.zoneout)
        mixed = (k * old + (1 - k) * new for k, old, new in zip(shares, old_state, candidate, strict=True))  # (4)
        state = tuple(np.where(alive, new, old) for new, old in zip(mixed, state, strict=True))
        for all_steps, values in zip((*states, gates), (*state, np.concatenate(step_gates, axis=1)), strict=True):
            all_steps[t] = np.where(alive, values, 0)
        tapes.append(tape)
    output, *inner = map(schedule.along, states)
    by_gate = schedule.along(gates).reshape(*x.shape[:2], len(spec.gates), spec.hidden_size)
    return output, state, Saved(weights, schedule, tapes, by_gate, inner)


def backward(
    spec: CellSpec, grad_output: Floats, grad_state: State, saved: Saved, grad_cells: Floats | None = None
) -> tuple[Floats, State, Weights[Floats]]:
    """Back-propagate through time (Werbos 1990): gradients of x, of the first state and of the weights.

    ``grad_output`` [T, B, P or H] and ``grad_state`` (arrays [B, ·]) are the gradients of the output and the final
    state. ``grad_cells`` [T, B, H] belongs to the second state (c of an LSTM) at every step; None is zero.
    """
    cell, weights, schedule = CELLS[spec.kind], saved.weights, saved.schedule
    step_grads = [schedule.along(grad) for grad in (grad_output, grad_cells) if grad is not None]
    grad_x = np.zeros((*grad_output.shape[:2], spec.input_size), grad_output.dtype)
    weight_sums = [np.zeros_like(weight) for weight in weights.present()]
    for t in reversed(range(len(saved.tapes))):
        # A row without a step here passes its gradient on unchanged.
        grads = [grad[t] for grad in step_grads]
        total = (*(grad + more for grad, more in zip(grad_state, grads, strict=False)), *grad_state[len(grads) :])
        into = [np.where(schedule.alive[t], grad, 0) for grad in total]
        shares = [k[t] for k in schedule.zoneout]
        to_candidate = tuple((1 - k) * grad for k, grad in zip(shares, into, strict=True))  # (4)
        grad_x[t], grad_h_in, grad_old, grad_weights = cell.step_backward(
            spec, to_candidate, saved.tapes[t], weights
        )  # (3)
        direct = [grad + k * more for grad, k, more in zip(grad_old, shares, into, strict=True)]  # (3), (4)
        direct[0] = direct[0] + schedule.dropout * grad_h_in  # (2)
        grad_before_reset = [np.where(schedule.reset[t], 0, grad) for grad in direct]  # (1)
        grad_state = tuple(
            np.where(schedule.alive[t], new, old) for new, old in zip(grad_before_reset, grad_state, strict=True)
        )
        for weight_sum, grad in zip(weight_sums, grad_weights.present(), strict=True):
            weight_sum += grad
    return schedule.along(grad_x), grad_state, weights.like(weight_sums)


def _schedule(spec: CellSpec, x: Floats, walk: Walk[NDArray[Any]]) -> Schedule:
    steps, rows = x.shape[:2]
    time = np.arange(steps)[:, None]
    ends = np.full(rows, steps) if walk.lengths is None else np.asarray(walk.lengths)
    alive = time < ends
    order = np.where(alive & walk.reverse, ends - 1 - time, time)[:, :, None]

    def along(array: NDArray[Any] | None, absent: NDArray[Any]) -> NDArray[Any]:
        array = absent if array is None else array
        return np.take_along_axis(np.broadcast_to(array, (steps, rows, array.shape[-1])), order, axis=0)

    zero = np.zeros((1, 1, 1), x.dtype)
    reset = None if walk.reset is None else walk.reset[:, :, None]
    return Schedule(
        order=order,
        alive=alive[:, :, None],
        reset=along(reset, np.zeros((1, 1, 1), np.bool_)),
        dropout=np.ones((1, 1), x.dtype) if walk.dropout is None else walk.dropout,
        zoneout=tuple(along(share, zero).astype(x.dtype) for share in walk.zoneout or (None,) * len(spec.states)),
    )
