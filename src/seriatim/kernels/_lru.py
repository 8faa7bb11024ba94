"""The linear recurrent unit (Orvieto 2023): a diagonal linear recurrence of complex numbers.

u_t = x_t W_ihᵀ + b_ih, in blocks: B x real, B x imaginary, D x        (1)
λ = exp(-exp(ν) + i exp(θ)),  γ = exp(log γ)                           (2)
s_t = λ ⊙ s_{t-1} + γ ⊙ (B x_t)                                        (3)
h_t = Re(C s_t) + D x_t = [re, im] W_hyᵀ + u_d                         (4)

|λ| < 1 for every ν, so the recurrence never explodes. h is the output; no later step reads it.
"""

from __future__ import annotations

import numpy as np

from seriatim.kernels.cell import CellFunctions, Floats, Gates, State, Tape, blocks, part, part_backward
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def step(spec: CellSpec, x: Floats, h_in: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Gates, Tape]:
    """One step: x [B, I], state (h, re, im), [B, H] each; ĥ is not used."""
    _, re, im = state
    w = weights
    assert w.decay is not None and w.w_hy is not None
    u, from_x = part(x, w.w_ih, w.b_ih, None)  # (1)
    b_re, b_im, d = blocks(u, spec)
    size, angle, gain = np.exp(-np.exp(w.decay[0])), np.exp(w.decay[1]), np.exp(w.decay[2])  # (2)
    l_re, l_im = size * np.cos(angle), size * np.sin(angle)
    s_re = l_re * re - l_im * im + gain * b_re  # (3)
    s_im = l_re * im + l_im * re + gain * b_im
    s_parts = np.concatenate([s_re, s_im], axis=1)
    tape = (from_x, re, im, b_re, b_im, s_parts)
    return (s_parts @ w.w_hy.T + d, s_re, s_im), (b_re, b_im, d), tape  # (4)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, Floats, State, Weights[Floats]]:
    """One step backward."""
    dh_next, *ds_next = grad
    from_x, re, im, b_re, b_im, s_parts = tape
    w = weights
    assert w.decay is not None and w.w_hy is not None
    from_h = np.split(dh_next @ w.w_hy, 2, axis=1)  # (4)
    ds_re, ds_im = ds_next[0] + from_h[0], ds_next[1] + from_h[1]
    size, angle, gain = np.exp(-np.exp(w.decay[0])), np.exp(w.decay[1]), np.exp(w.decay[2])
    cos, sin = np.cos(angle), np.sin(angle)
    dl_re = (ds_re * re + ds_im * im).sum(axis=0)  # (3)
    dl_im = (ds_im * re - ds_re * im).sum(axis=0)
    d_size, d_angle = dl_re * cos + dl_im * sin, size * (dl_im * cos - dl_re * sin)  # (2)
    d_gain = (ds_re * b_re + ds_im * b_im).sum(axis=0)
    d_decay = np.stack([-d_size * size * np.exp(w.decay[0]), d_angle * angle, d_gain * gain])
    du = np.concatenate([gain * ds_re, gain * ds_im, dh_next], axis=1)
    dx, dw_ih, db_ih, _ = part_backward(du, w.w_ih, w.b_ih, None, from_x)  # (1)
    l_re, l_im = size * cos, size * sin
    grad_state = (np.zeros_like(dh_next), l_re * ds_re + l_im * ds_im, l_re * ds_im - l_im * ds_re)
    return dx, np.zeros_like(dh_next), grad_state, Weights(dw_ih, b_ih=db_ih, decay=d_decay, w_hy=dh_next.T @ s_parts)


CELL = CellFunctions(step, step_backward)
