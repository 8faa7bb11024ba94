"""The gated recurrent unit (Cho 2014), reset after the product and z as "how much old", as PyTorch and cuDNN have it.

u_t = x_t W_ihᵀ + b_ih,  v_t = h_{t-1} W_hhᵀ + b_hh,  three blocks each    (1)
r_t = σ(uʳ_t + vʳ_t)   z_t = σ(uᶻ_t + vᶻ_t)                                (2)
n_t = tanh(uⁿ_t + r_t ⊙ vⁿ_t)                                              (3)
h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t                                      (4)
"""

from __future__ import annotations

import numpy as np

from seriatim.kernels.cell import Cell, Floats, State, Tape, blocks, parts, parts_backward, sigmoid
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def step(spec: CellSpec, x: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Tape]:
    """One step: x [B, I], state (h [B, H],)."""
    (h,) = state
    u, v = parts(x, h, weights)  # (1)
    (u_r, u_z, u_n), (v_r, v_z, v_n) = blocks(u, spec), blocks(v, spec)
    r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)  # (2)
    n = np.tanh(u_n + r * v_n)  # (3)
    h_next = z * h + (1 - z) * n  # (4)
    return (h_next,), (x, h, r, z, n, v_n)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, State, Weights[Floats]]:
    """One step backward."""
    (dh_next,) = grad
    x, h, r, z, n, v_n = tape
    da_z = dh_next * (h - n) * z * (1 - z)  # (4), (2)
    da_n = dh_next * (1 - z) * (1 - n * n)  # (4), (3)
    da_r = da_n * v_n * r * (1 - r)  # (3), (2)
    du = np.concatenate([da_r, da_z, da_n], axis=1)
    dv = np.concatenate([da_r, da_z, da_n * r], axis=1)  # only the reset part of n saw h
    dx, dh, gradient = parts_backward(du, dv, x, h, weights)  # (1)
    return dx, (dh + dh_next * z,), gradient  # (4) hands h on directly


CELL = Cell(step, step_backward)
