"""The gated recurrent unit (Cho 2014), with z as "how much old", as PyTorch and cuDNN have it.

u_t = x_t W_ihᵀ + b_ih,  three blocks                                   (1)
      with layer normalisation (Ba 2016)  u_t = g_ih ⊙ norm(x_t W_ihᵀ) + b_ih
r_t = σ(uʳ_t + vʳ_t)   z_t = σ(uᶻ_t + vᶻ_t)                             (2)
n_t = tanh(uⁿ_t + w_t)                                                  (3)
h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t                                   (4)

The reset gate stands after the product, as PyTorch and cuDNN have it,

v_t = ĥ_t W_hhᵀ + b_hh,  three blocks, normalised as u_t with g_hh      (5)
w_t = r_t ⊙ vⁿ_t                                                        (6)

or before it, as Cho 2014 has it:

vʳ_t = ĥ_t W_hrᵀ + b_hr   vᶻ_t = ĥ_t W_hzᵀ + b_hz                       (7)
w_t = (r_t ⊙ ĥ_t) W_hnᵀ + b_hn                                          (8)
"""

from __future__ import annotations

import numpy as np

from seriatim.kernels.cell import Cell, Floats, Gates, State, Tape, blocks, part, part_backward, sigmoid
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def step(spec: CellSpec, x: Floats, h_in: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Gates, Tape]:
    """One step: x [B, I], ĥ [B, H], state (h [B, H],)."""
    (h,) = state
    u, from_x = part(x, weights.w_ih, weights.b_ih, weights.g_ih)  # (1)
    u_r, u_z, u_n = blocks(u, spec)
    recurrent = _after if spec.reset_after else _before
    r, z, w, from_h = recurrent(u_r, u_z, h_in, weights)
    n = np.tanh(u_n + w)  # (3)
    h_next = z * h + (1 - z) * n  # (4)
    return (h_next,), (r, z, n), (from_x, from_h, h, r, z, n)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step backward."""
    (dh_next,) = grad
    from_x, from_h, h, r, z, n = tape
    da_z = dh_next * (h - n) * z * (1 - z)  # (4), (2)
    da_n = dh_next * (1 - z) * (1 - n * n)  # (4), (3)
    recurrent_backward = _after_backward if spec.reset_after else _before_backward
    da_r, dh_in, dw_hh, db_hh, dg_hh = recurrent_backward(da_z, da_n, r, from_h, weights)
    du = np.concatenate([da_r, da_z, da_n], axis=1)
    dx, dw_ih, db_ih, dg_ih = part_backward(du, weights.w_ih, weights.b_ih, weights.g_ih, from_x)  # (1)
    gradient = Weights(dw_ih, dw_hh, db_ih, db_hh, g_ih=dg_ih, g_hh=dg_hh)
    return dx, dh_in, (dh_next * z,), gradient  # (4) hands h on directly


def _after(u_r: Floats, u_z: Floats, h_in: Floats, weights: Weights[Floats]) -> tuple[Floats, Floats, Floats, Tape]:
    """r, z, w and what the way back needs; reset after the product."""
    v, from_h = part(h_in, weights.w_hh, weights.b_hh, weights.g_hh)  # (5)
    v_r, v_z, v_n = np.split(v, 3, axis=1)
    r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)  # (2)
    return r, z, r * v_n, (from_h, v_n)  # (6)


def _after_backward(
    da_z: Floats, da_n: Floats, r: Floats, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, Floats, Floats | None, Floats | None]:
    """Gradients of r before its activation, of ĥ, W_hh, b_hh and g_hh."""
    from_h, v_n = tape
    da_r = da_n * v_n * r * (1 - r)  # (6), (2)
    dv = np.concatenate([da_r, da_z, da_n * r], axis=1)  # (6): only what r let through saw ĥ
    return da_r, *part_backward(dv, weights.w_hh, weights.b_hh, weights.g_hh, from_h)  # (5)


def _before(u_r: Floats, u_z: Floats, h_in: Floats, weights: Weights[Floats]) -> tuple[Floats, Floats, Floats, Tape]:
    """r, z, w and what the way back needs; reset before the product."""
    (w_rz, b_rz), (w_n, b_n) = _split(weights, h_in.shape[1])
    v, from_h = part(h_in, w_rz, b_rz, None)  # (7)
    v_r, v_z = np.split(v, 2, axis=1)
    r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)  # (2)
    w, from_reset = part(r * h_in, w_n, b_n, None)  # (8)
    return r, z, w, (from_h, from_reset, h_in)


def _before_backward(
    da_z: Floats, da_n: Floats, r: Floats, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, Floats, Floats | None, Floats | None]:
    """Gradients of r before its activation, of ĥ, W_hh and b_hh, and none of a gain."""
    from_h, from_reset, h_in = tape
    (w_rz, b_rz), (w_n, b_n) = _split(weights, h_in.shape[1])
    d_reset, dw_n, db_n, _ = part_backward(da_n, w_n, b_n, None, from_reset)  # (8)
    da_r = d_reset * h_in * r * (1 - r)  # (8), (2)
    dh_in, dw_rz, db_rz, _ = part_backward(np.concatenate([da_r, da_z], axis=1), w_rz, b_rz, None, from_h)  # (7)
    db_hh = None if db_rz is None or db_n is None else np.concatenate([db_rz, db_n])
    return da_r, dh_in + d_reset * r, np.concatenate([dw_rz, dw_n]), db_hh, None


def _split(weights: Weights[Floats], hidden_size: int) -> list[tuple[Floats, Floats | None]]:
    """(W, b) of r and z together, and (W, b) of n."""
    rows = slice(0, 2 * hidden_size), slice(2 * hidden_size, None)
    return [(weights.w_hh[part], None if weights.b_hh is None else weights.b_hh[part]) for part in rows]


CELL = Cell(step, step_backward)
