"""Long short-term memory (Hochreiter & Schmidhuber 1997), with the forget gate (Gers 2000).

a_t = x_t W_ihᵀ + b_ih + h_{t-1} W_hhᵀ + b_hh,  four blocks    (1)
i_t = σ(aⁱ_t)   f_t = σ(aᶠ_t)   g_t = tanh(aᵍ_t)   o_t = σ(aᵒ_t)   (2)
c_t = f_t ⊙ c_{t-1} + i_t ⊙ g_t                                (3)
m_t = o_t ⊙ tanh(c_t)                                          (4)
h_t = m_t, or m_t W_hrᵀ when projected (Sak 2014)              (5)
"""

from __future__ import annotations

import dataclasses

import numpy as np

from seriatim.kernels.cell import Cell, Floats, State, Tape, blocks, parts, parts_backward, sigmoid
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def step(spec: CellSpec, x: Floats, state: State, weights: Weights[Floats]) -> tuple[State, Tape]:
    """One step: x [B, I], state (h [B, P or H], c [B, H])."""
    h, c = state
    a_x, a_h = parts(x, h, weights)
    a_i, a_f, a_g, a_o = blocks(a_x + a_h, spec)  # (1)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)  # (2)
    c_next = f * c + i * g  # (3)
    squashed = np.tanh(c_next)
    m = o * squashed  # (4)
    h_next = m if weights.w_hr is None else m @ weights.w_hr.T  # (5)
    return (h_next, c_next), (x, h, c, i, f, g, o, squashed)


def step_backward(
    spec: CellSpec, grad: State, tape: Tape, weights: Weights[Floats]
) -> tuple[Floats, State, Weights[Floats]]:
    """One step backward."""
    dh_next, dc_next = grad
    x, h, c, i, f, g, o, squashed = tape
    dm = dh_next if weights.w_hr is None else dh_next @ weights.w_hr  # (5)
    dc = dc_next + dm * o * (1 - squashed * squashed)  # (4) joins what came from the step after
    da = np.concatenate(  # (3) and (2)
        [
            dc * g * i * (1 - i),
            dc * c * f * (1 - f),
            dc * i * (1 - g * g),
            dm * squashed * o * (1 - o),
        ],
        axis=1,
    )
    dx, dh, gradient = parts_backward(da, da, x, h, weights)  # (1)
    if weights.w_hr is not None:
        gradient = dataclasses.replace(gradient, w_hr=dh_next.T @ (o * squashed))  # (5)
    return dx, (dh, dc * f), gradient


CELL = Cell(step, step_backward)
