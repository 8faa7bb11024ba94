"""LSTM with coupled input and forget gates (CIFG; Greff 2017).

u_t = x_t W_ihᵀ + b_ih,  v_t = ĥ_t W_hhᵀ + b_hh,  three blocks each     (1)
      with layer normalisation (Ba 2016)  u_t = g_ih ⊙ norm(x_t W_ihᵀ) + b_ih,  and v_t likewise with g_hh
f_t = σ(uᶠ_t + vᶠ_t + pᶠ ⊙ c_{t-1})   i_t = 1 - f_t   g_t = tanh(uᵍ_t + vᵍ_t)    (2)
      p, the rows of W_ch, are 0 without peepholes (Gers 2000)
c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t                                         (3)
o_t = σ(uᵒ_t + vᵒ_t + pᵒ ⊙ c_t)                                         (4)
m_t = o_t ⊙ tanh(c_t),  normalised  m_t = o_t ⊙ tanh(g_c ⊙ norm(c_t) + b_c)    (5)
h_t = m_t, or m_t W_hrᵀ when projected (Sak 2014)                       (6)

Equations (4) to (6) have the numbers of the LSTM (``_lstm.py``).
"""

from __future__ import annotations

import numpy as np

from seriatim.kernels._lstm import normalised_cell, normalised_cell_backward
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
    """One step: x [B, I], ĥ [B, P or H], state (h [B, P or H], c [B, H])."""
    _, c = state
    w = weights
    u, from_x = part(x, w.w_ih, w.b_ih, w.g_ih)  # (1)
    v, from_h = part(h_in, w.w_hh, w.b_hh, w.g_hh)
    a_f, a_g, a_o = blocks(u + v, spec)
    p_f, p_o = _peepholes(w, c)
    a_f, free_f = clipped(spec, a_f + p_f * c)
    a_g, free_g = clipped(spec, a_g)
    f, g = sigmoid(a_f), np.tanh(a_g)  # (2)
    c_next = f * c + (1 - f) * g  # (3)
    a_o, free_o = clipped(spec, a_o + p_o * c_next)
    o = sigmoid(a_o)  # (4)
    tanh_input, from_c = normalised_cell(c_next, w)
    squashed = np.tanh(tanh_input)
    m = o * squashed  # (5)
    tape = (from_x, from_h, from_c, c, f, g, o, c_next, squashed, (free_f, free_g, free_o))
    return (projected(m, w), c_next), (f, g, o), tape  # (6)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step backward."""
    dh_next, dc_next = grad
    from_x, from_h, from_c, c, f, g, o, c_next, squashed, (free_f, free_g, free_o) = tape
    w = weights
    p_f, p_o = _peepholes(w, c)
    dm, dw_hr = projected_backward(dh_next, o * squashed, w)  # (6)
    da_o = dm * squashed * o * (1 - o) * free_o  # (5), (4)
    through_tanh, dg_c, db_c = normalised_cell_backward(dm * o * (1 - squashed * squashed), w, from_c)  # (5)
    dc = dc_next + through_tanh + da_o * p_o
    da_f = dc * (c - g) * f * (1 - f) * free_f  # (3), (2)
    da_g = dc * (1 - f) * (1 - g * g) * free_g
    da = np.concatenate([da_f, da_g, da_o], axis=1)
    dx, dw_ih, db_ih, dg_ih = part_backward(da, w.w_ih, w.b_ih, w.g_ih, from_x)  # (1)
    dh_in, dw_hh, db_hh, dg_hh = part_backward(da, w.w_hh, w.b_hh, w.g_hh, from_h)
    dw_ch = None if w.w_ch is None else np.stack([(da_f * c).sum(axis=0), (da_o * c_next).sum(axis=0)])  # (2), (4)
    gradient = Weights(dw_ih, dw_hh, db_ih, db_hh, dw_hr, dw_ch, dg_ih, dg_hh, dg_c, db_c)
    return dx, dh_in, (np.zeros_like(dh_next), dc * f + da_f * p_f), gradient  # (3), (2)


def _peepholes(w: Weights[Floats], c: Floats) -> Floats:
    """pᶠ and pᵒ, [2, H]."""
    return np.zeros((2, c.shape[1]), c.dtype) if w.w_ch is None else w.w_ch


CELL = CellFunctions(step, step_backward)
