"""The recurrence in plain PyTorch operations: slower, but it fits every cell and every order of derivative.

The equations and their numbers are those of the twin (``kernels/_rnn.py`` and its siblings). The part of the gates
that comes from the input does not depend on time and is one product for all steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import linear

from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

State: TypeAlias = tuple[Tensor, ...]
Step: TypeAlias = Callable[[CellSpec, Tensor, Tensor, State, "Weights[Tensor]"], State]

PHI: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


def _rnn(spec: CellSpec, a_x: Tensor, a_h: Tensor, state: State, weights: Weights[Tensor]) -> State:
    return (PHI[spec.activation](a_x + a_h),)  # (2)


def _lstm(spec: CellSpec, a_x: Tensor, a_h: Tensor, state: State, weights: Weights[Tensor]) -> State:
    _, c = state
    a_i, a_f, a_g, a_o = (a_x + a_h).chunk(4, dim=1)  # (1)
    c_next = torch.sigmoid(a_f) * c + torch.sigmoid(a_i) * torch.tanh(a_g)  # (2), (3)
    m = torch.sigmoid(a_o) * torch.tanh(c_next)  # (4)
    h_next = m if weights.w_hr is None else linear(m, weights.w_hr)  # (5)
    return h_next, c_next


def _gru(spec: CellSpec, u: Tensor, v: Tensor, state: State, weights: Weights[Tensor]) -> State:
    (h,) = state
    (u_r, u_z, u_n), (v_r, v_z, v_n) = u.chunk(3, dim=1), v.chunk(3, dim=1)
    r, z = torch.sigmoid(u_r + v_r), torch.sigmoid(u_z + v_z)  # (2)
    n = torch.tanh(u_n + r * v_n)  # (3)
    return (z * h + (1 - z) * n,)  # (4)


STEPS: dict[str, Step] = {"rnn": _rnn, "lstm": _lstm, "gru": _gru}
"""(spec, gates' part from x, gates' part from h, state, weights) → next state; all [B, ·]."""


def forward(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> tuple[Tensor, State]:
    """Every row through all of x [T, B, I], from state [B, ·] → output [T, B, P or H], final state."""
    output = []
    for a_x in linear(x, weights.w_ih, weights.b_ih).unbind(0):
        state = STEPS[spec.kind](spec, a_x, linear(state[0], weights.w_hh, weights.b_hh), state, weights)
        output.append(state[0])
    return torch.stack(output), state


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """One step: x [B, I] and the state [B, ·] → the next state."""
    a_x, a_h = linear(x, weights.w_ih, weights.b_ih), linear(state[0], weights.w_hh, weights.b_hh)
    return STEPS[spec.kind](spec, a_x, a_h, state, weights)
