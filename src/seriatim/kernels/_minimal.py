"""minGRU and minLSTM: a GRU and an LSTM whose gates do not read h (Feng 2024).

u_t = x_t W_ihᵀ + b_ih                                                             (1)
g(a) = a + 1/2 for a ≥ 0, σ(a) otherwise                                           (2)

minGRU   z_t = σ(u_z),  n_t = g(u_n),  h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ n_t       (3)
minLSTM  f_t = σ(u_f),  i_t = σ(u_i),  g_t = g(u_g)
         s_t = f_t / (f_t + i_t) = σ(log f_t - log i_t)                            (4)
         h_t = s_t ⊙ h_{t-1} + (1 - s_t) ⊙ g_t                                     (5)

The logarithms in (4) avoid 0 / 0 when both gates are 0.
"""

from __future__ import annotations

import numpy as np

from seriatim.kernels.cell import CellFunctions, Floats, Gates, State, Tape, blocks, part, part_backward, sigmoid
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def positive(a: Floats) -> Floats:
    """g of (2), which is positive and unbounded."""
    result: Floats = np.where(a >= 0, a + a.dtype.type(0.5), sigmoid(a))
    return result


def _slope(a: Floats, n: Floats) -> Floats:
    """The slope of g at a, where n = g(a)."""
    result: Floats = np.where(a >= 0, a.dtype.type(1), n * (1 - n))
    return result


def log_sigmoid(a: Floats) -> Floats:
    """log σ(a) = min(a, 0) - log(1 + e^-|a|)."""
    result: Floats = np.minimum(a, 0) - np.log1p(np.exp(-np.abs(a)))
    return result


def step_gru(
    spec: CellSpec, x: Floats, h_in: Floats, state: State, weights: Weights[Floats]
) -> tuple[State, Gates, Tape]:
    """One step of minGRU: x [B, I], state (h [B, H],); ĥ is not used."""
    (h,) = state
    u, from_x = part(x, weights.w_ih, weights.b_ih, None)  # (1)
    u_z, u_n = blocks(u, spec)
    z, n = sigmoid(u_z), positive(u_n)
    return ((1 - z) * h + z * n,), (z, n), (from_x, h, z, n, u_n)  # (3)


def step_gru_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step of minGRU backward."""
    (dh_next,) = grad
    from_x, h, z, n, u_n = tape
    du = np.concatenate([dh_next * (n - h) * z * (1 - z), dh_next * z * _slope(u_n, n)], axis=1)  # (3)
    dx, dw_ih, db_ih, _ = part_backward(du, weights.w_ih, weights.b_ih, None, from_x)  # (1)
    return dx, np.zeros_like(h), (dh_next * (1 - z),), Weights(dw_ih, b_ih=db_ih)


def step_lstm(
    spec: CellSpec, x: Floats, h_in: Floats, state: State, weights: Weights[Floats]
) -> tuple[State, Gates, Tape]:
    """One step of minLSTM: x [B, I], state (h [B, H],); ĥ is not used."""
    (h,) = state
    u, from_x = part(x, weights.w_ih, weights.b_ih, None)  # (1)
    u_f, u_i, u_g = blocks(u, spec)
    f, i, g = sigmoid(u_f), sigmoid(u_i), positive(u_g)
    s = sigmoid(log_sigmoid(u_f) - log_sigmoid(u_i))  # (4)
    return (s * h + (1 - s) * g,), (f, i, g), (from_x, h, f, i, g, s, u_g)  # (5)


def step_lstm_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step of minLSTM backward."""
    (dh_next,) = grad
    from_x, h, f, i, g, s, u_g = tape
    d_ratio = dh_next * (h - g) * s * (1 - s)  # (4), (5): of log f - log i
    du_g = dh_next * (1 - s) * _slope(u_g, g)
    du = np.concatenate([d_ratio * (1 - f), -d_ratio * (1 - i), du_g], axis=1)
    dx, dw_ih, db_ih, _ = part_backward(du, weights.w_ih, weights.b_ih, None, from_x)  # (1)
    return dx, np.zeros_like(h), (dh_next * s,), Weights(dw_ih, b_ih=db_ih)


MIN_GRU = CellFunctions(step_gru, step_gru_backward)
MIN_LSTM = CellFunctions(step_lstm, step_lstm_backward)
