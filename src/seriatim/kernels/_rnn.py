"""The simple recurrent network (Elman 1990).

u_t = x_t W_ihᵀ + b_ih,  v_t = ĥ_t W_hhᵀ + b_hh                (1)
      with layer normalisation (Ba 2016)  u_t = g_ih ⊙ norm(x_t W_ihᵀ) + b_ih,  and v_t likewise with g_hh
m_t = φ(u_t + v_t),  φ ∈ {tanh, relu, sigmoid}                 (2)
h_t = m_t, or m_t W_hrᵀ when projected                         (3)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from seriatim.kernels.cell import (
    CellFunctions,
    Floats,
    Gates,
    State,
    Tape,
    clipped,
    part,
    part_backward,
    projected,
    projected_backward,
    sigmoid,
)  # fmt: skip
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

PHI: dict[str, Callable[[Floats], Floats]] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
}
SLOPE: dict[str, Callable[[Floats], Floats]] = {
    "tanh": lambda m: 1 - m * m,
    "relu": lambda m: (m > 0).astype(m.dtype),
    "sigmoid": lambda m: m * (1 - m),
}
"""φ'(a), from m = φ(a)."""


def step(spec: CellSpec, x: Floats, h_in: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Gates, Tape]:
    """One step: x [B, I], ĥ [B, P or H], state (h [B, P or H],)."""
    w = weights
    u, from_x = part(x, w.w_ih, w.b_ih, w.g_ih)  # (1)
    v, from_h = part(h_in, w.w_hh, w.b_hh, w.g_hh)
    a, free = clipped(spec, u + v)
    m = PHI[spec.activation](a)  # (2)
    return (projected(m, w),), (m,), (from_x, from_h, m, free)  # (3)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step backward."""
    (dh_next,) = grad
    from_x, from_h, m, free = tape
    w = weights
    dm, dw_hr = projected_backward(dh_next, m, w)  # (3)
    da = dm * SLOPE[spec.activation](m) * free  # (2)
    dx, dw_ih, db_ih, dg_ih = part_backward(da, w.w_ih, w.b_ih, w.g_ih, from_x)  # (1)
    dh_in, dw_hh, db_hh, dg_hh = part_backward(da, w.w_hh, w.b_hh, w.g_hh, from_h)
    gradient = Weights(dw_ih, dw_hh, db_ih, db_hh, dw_hr, g_ih=dg_ih, g_hh=dg_hh)
    return dx, dh_in, (np.zeros_like(dh_next),), gradient


CELL = CellFunctions(step, step_backward)
