"""The gated recurrent unit (Cho 2014). z is the share of the old state, as in PyTorch and cuDNN.

u_t = x_t W_ihᵀ + b_ih,  three blocks                                   (1)
      with layer normalisation (Ba 2016)  u_t = g_ih ⊙ norm(x_t W_ihᵀ) + b_ih
r_t = σ(uʳ_t + vʳ_t)   z_t = σ(uᶻ_t + vᶻ_t)                             (2)
n_t = tanh(uⁿ_t + w_t)                                                  (3)
h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ n_t                                   (4)
      or projected (Cheng 2018)  c_t = z_t ⊙ c_{t-1} + (1 - z_t) ⊙ n_t,  h_t = c_t W_hrᵀ

The reset gate is applied after the product, as in PyTorch and cuDNN:

v_t = ĥ_t W_hhᵀ + b_hh,  three blocks, normalised like u_t, with g_hh      (5)
w_t = r_t ⊙ vⁿ_t                                                        (6)

or before the product, as in Cho 2014:

vʳ_t = ĥ_t W_hrᵀ + b_hr   vᶻ_t = ĥ_t W_hzᵀ + b_hz                       (7)
w_t = (r_t ⊙ ĥ_t) W_hnᵀ + b_hn                                          (8)
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from seriatim.kernels.cell import (
    CellFunctions,
    Floats,
    Gates,
    State,
    Tape,
    blocks,
    clipped,
    part,
    part_backward,
    projected,
    projected_backward,
    sigmoid,
)  # fmt: skip
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def step(spec: CellSpec, x: Floats, h_in: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Gates, Tape]:
    """One step: x [B, I], ĥ [B, P or H], state (h [B, H],), or (h [B, P], c [B, H]) when projected."""
    old = state[-1]
    u, from_x = part(x, weights.w_ih, weights.b_ih, weights.g_ih)  # (1)
    u_r, u_z, u_n = blocks(u, spec)
    recurrent = _after if spec.reset_after else _before
    (r, free_r), (z, free_z), w, from_h = recurrent(spec, u_r, u_z, h_in, weights)
    a_n, free_n = clipped(spec, u_n + w)
    n = np.tanh(a_n)  # (3)
    new = z * old + (1 - z) * n  # (4)
    following = (new,) if weights.w_hr is None else (projected(new, weights), new)
    return following, (r, z, n), (from_x, from_h, old, new, r, z, n, (free_r, free_z, free_n))


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step backward."""
    from_x, from_h, old, new, r, z, n, (free_r, free_z, free_n) = tape
    d_new, dw_hr = projected_backward(grad[0], new, weights)  # (4)
    for grad_part in grad[1:]:
        d_new = d_new + grad_part
    da_z = d_new * (old - n) * z * (1 - z) * free_z  # (4), (2)
    da_n = d_new * (1 - z) * (1 - n * n) * free_n  # (4), (3)
    recurrent_backward = _after_backward if spec.reset_after else _before_backward
    da_r, dh_in, dw_hh, db_hh, dg_hh = recurrent_backward(da_z, da_n, r, free_r, from_h, weights)
    du = np.concatenate([da_r, da_z, da_n], axis=1)
    dx, dw_ih, db_ih, dg_ih = part_backward(du, weights.w_ih, weights.b_ih, weights.g_ih, from_x)  # (1)
    gradient = Weights(dw_ih, dw_hh, db_ih, db_hh, dw_hr, g_ih=dg_ih, g_hh=dg_hh)
    direct = d_new * z  # (4) reads the old state outside of products, too
    return dx, dh_in, (direct,) if weights.w_hr is None else (np.zeros_like(grad[0]), direct), gradient


Gate: TypeAlias = tuple[Floats, Floats | float]
"""A gate, and the factor of its gradient: 0 where the gate was clipped."""


def _gate(spec: CellSpec, a: Floats) -> Gate:
    a, free = clipped(spec, a)
    return sigmoid(a), free  # (2)


def _after(
    spec: CellSpec, u_r: Floats, u_z: Floats, h_in: Floats, weights: Weights[Floats]
) -> tuple[Gate, Gate, Floats, Tape]:
    """r, z, w and the values for the backward pass, with the reset after the product."""
    v, from_h = part(h_in, weights.w_hh, weights.b_hh, weights.g_hh)  # (5)
    v_r, v_z, v_n = np.split(v, 3, axis=1)
    r, z = _gate(spec, u_r + v_r), _gate(spec, u_z + v_z)
    return r, z, r[0] * v_n, (from_h, v_n)  # (6)


def _after_backward(
    da_z: Floats, da_n: Floats, r: Floats, free_r: Floats | float, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, Floats, Floats | None, Floats | None]:
    """Gradients of r before its activation, of ĥ, W_hh, b_hh and g_hh."""
    from_h, v_n = tape
    da_r = da_n * v_n * r * (1 - r) * free_r  # (6), (2)
    dv = np.concatenate([da_r, da_z, da_n * r], axis=1)  # (6): r multiplies the recurrent part of n
    return da_r, *part_backward(dv, weights.w_hh, weights.b_hh, weights.g_hh, from_h)  # (5)


def _before(
    spec: CellSpec, u_r: Floats, u_z: Floats, h_in: Floats, weights: Weights[Floats]
) -> tuple[Gate, Gate, Floats, Tape]:
    """r, z, w and the values for the backward pass, with the reset before the product."""
    (w_rz, b_rz), (w_n, b_n) = _split(weights, h_in.shape[1])
    v, from_h = part(h_in, w_rz, b_rz, None)  # (7)
    v_r, v_z = np.split(v, 2, axis=1)
    r, z = _gate(spec, u_r + v_r), _gate(spec, u_z + v_z)
    w, from_reset = part(r[0] * h_in, w_n, b_n, None)  # (8)
    return r, z, w, (from_h, from_reset, h_in)


def _before_backward(
    da_z: Floats, da_n: Floats, r: Floats, free_r: Floats | float, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, Floats, Floats | None, Floats | None]:
    """Gradients of r before its activation, of ĥ, W_hh and b_hh; None in place of a gain's gradient."""
    from_h, from_reset, h_in = tape
    (w_rz, b_rz), (w_n, b_n) = _split(weights, h_in.shape[1])
    d_reset, dw_n, db_n, _ = part_backward(da_n, w_n, b_n, None, from_reset)  # (8)
    da_r = d_reset * h_in * r * (1 - r) * free_r  # (8), (2)
    dh_in, dw_rz, db_rz, _ = part_backward(np.concatenate([da_r, da_z], axis=1), w_rz, b_rz, None, from_h)  # (7)
    db_hh = None if db_rz is None or db_n is None else np.concatenate([db_rz, db_n])
    return da_r, dh_in + d_reset * r, np.concatenate([dw_rz, dw_n]), db_hh, None


def _split(weights: Weights[Floats], hidden_size: int) -> list[tuple[Floats, Floats | None]]:
    """(W, b) of r and z together, and (W, b) of n."""
    rows = slice(0, 2 * hidden_size), slice(2 * hidden_size, None)
    return [(weights.w_hh[part], None if weights.b_hh is None else weights.b_hh[part]) for part in rows]


CELL = CellFunctions(step, step_backward)
