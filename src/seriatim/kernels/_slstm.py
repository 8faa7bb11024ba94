"""The sLSTM: an LSTM with an exponential input gate, a normaliser n and a stabiliser m (Beck 2024).

a_t = x_t W_ihᵀ + b_ih + ĥ_t W_hhᵀ + b_hh, in blocks i f g o          (1)
log f = log σ(a_f),  g = tanh(a_g),  o = σ(a_o)                       (2)
m_t = max(log f + m_{t-1}, a_i)                                       (3)
i_t = exp(a_i - m_t),  f_t = exp(log f + m_{t-1} - m_t)               (4)
c_t = f_t ⊙ c_{t-1} + i_t ⊙ g,  n_t = f_t ⊙ n_{t-1} + i_t             (5)
h_t = o ⊙ c_t / n_t, times W_hrᵀ when projected                       (6)

m only keeps the exponentials in range: c e^m and n e^m do not depend on it. At the first step of a sequence n_{t-1} is
0. There m_t = a_i and f_t = 0, so that h_t is never 0 / 0.           (7)
"""

from __future__ import annotations

import numpy as np

from seriatim.kernels._minimal import log_sigmoid
from seriatim.kernels.cell import (
    CellFunctions,
    Floats,
    Gates,
    State,
    Tape,
    blocks,
    part,
    part_backward,
    projected,
    projected_backward,
    sigmoid,
)  # fmt: skip
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def step(spec: CellSpec, x: Floats, h_in: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Gates, Tape]:
    """One step: x [B, I], ĥ [B, P or H], state (h [B, P or H], c, n, m [B, H])."""
    _, c, n, m = state
    w = weights
    u, from_x = part(x, w.w_ih, w.b_ih, None)  # (1)
    v, from_h = part(h_in, w.w_hh, w.b_hh, None)
    a_i, a_f, a_g, a_o = blocks(u + v, spec)
    g, o = np.tanh(a_g), sigmoid(a_o)  # (2)
    log_f_m, is_first = log_sigmoid(a_f) + m, n == 0
    i_is_larger = is_first | (a_i >= log_f_m)
    m_next = np.where(i_is_larger, a_i, log_f_m)  # (3), (7)
    i, f = np.exp(a_i - m_next), np.exp(np.where(is_first, -np.inf, log_f_m - m_next)).astype(x.dtype)  # (4)
    c_next, n_next = f * c + i * g, f * n + i  # (5)
    ratio = c_next / n_next
    tape = (from_x, from_h, c, n, i, f, g, o, n_next, ratio, sigmoid(a_f), i_is_larger)
    return (projected(o * ratio, w), c_next, n_next, m_next), (i, f, g, o), tape  # (6)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step backward."""
    dh_next, dc_next, dn_next, dm_next = grad
    from_x, from_h, c, n, i, f, g, o, n_next, ratio, sigma_f, i_is_larger = tape
    w = weights
    dm, dw_hr = projected_backward(dh_next, o * ratio, w)
    do, d_ratio = dm * ratio, dm * o / n_next  # (6)
    dc, dn = dc_next + d_ratio, dn_next - d_ratio * ratio
    d_log_i, d_log_f = (dc * g + dn) * i, (dc * c + dn * n) * f  # (4), (5)
    d_m = dm_next - d_log_i - d_log_f
    da_i, d_log_f_m = d_log_i + np.where(i_is_larger, d_m, 0), d_log_f + np.where(i_is_larger, 0, d_m)  # (3)
    d_log_f_m = d_log_f_m.astype(dh_next.dtype)
    da = np.concatenate([da_i, d_log_f_m * (1 - sigma_f), dc * i * (1 - g * g), do * o * (1 - o)], axis=1)  # (2)
    da = da.astype(dh_next.dtype)
    dx, dw_ih, db_ih, _ = part_backward(da, w.w_ih, w.b_ih, None, from_x)  # (1)
    dh_in, dw_hh, db_hh, _ = part_backward(da, w.w_hh, w.b_hh, None, from_h)
    grad_state = (np.zeros_like(dh_next), dc * f, dn * f, d_log_f_m)
    return dx, dh_in, grad_state, Weights(dw_ih, dw_hh, db_ih, db_hh, dw_hr)


CELL = CellFunctions(step, step_backward)
