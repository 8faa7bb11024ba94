"""The simple recurrent network (Elman 1990).

a_t = x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh                  (1)
h_t = φ(a_t),  φ ∈ {tanh, relu, sigmoid}                       (2)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seriatim.kernels.cell import Cell, Floats, State, Tape, parts, parts_backward, sigmoid
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

PHI: dict[str, Callable[[Floats], Floats]] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
}
SLOPE: dict[str, Callable[[Floats], Floats]] = {
    "tanh": lambda h: 1 - h * h,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "sigmoid": lambda h: h * (1 - h),
}
"""φ'(a), from h = φ(a)."""


def step(spec: CellSpec, x: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Tape]:
    """One step: x [B, I], state (h [B, H],)."""
    (h,) = state
    a_x, a_h = parts(x, h, weights)  # (1)
    h_next = PHI[spec.activation](a_x + a_h)  # (2)
    return (h_next,), (x, h, h_next)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, State, Weights[Floats]]:
    """One step backward."""
    (dh_next,) = grad
    x, h, h_next = tape
    da = dh_next * SLOPE[spec.activation](h_next)  # (2)
    dx, dh, gradient = parts_backward(da, da, x, h, weights)  # (1)
    return dx, (dh,), gradient


CELL = Cell(step, step_backward)
