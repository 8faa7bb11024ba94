"""What a cell is to a scan: one step, and one step backward. And the arithmetic that every cell shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

Floats: TypeAlias = NDArray[np.floating[Any]]
State: TypeAlias = tuple[Floats, ...]
"""One array [B, ·] per name in ``notation.STATES``, in that order."""
Tape: TypeAlias = tuple[Floats, ...]
"""What a step keeps for its way back."""


@dataclass(frozen=True)
class Cell:
    """A cell: one step, and one step backward."""

    step: Callable[[CellSpec, Floats, State, Weights[Floats]], tuple[State, Tape]]
    """(spec, x [B, I], state, weights) → (next state, tape)."""
    step_backward: Callable[[CellSpec, State, Tape, Weights[Floats]], tuple[Floats, State, Weights[Floats]]]
    """(spec, gradient of the next state, tape, weights) → (gradient of x, of the state before, of the weights)."""


def parts(x: Floats, h: Floats, weights: Weights[Floats]) -> tuple[Floats, Floats]:
    """The two summands of every gate before its activation, [B, G·H] each.

    a_x = x W_ihᵀ + b_ih  and  a_h = h W_hhᵀ + b_hh
    """
    a_x, a_h = x @ weights.w_ih.T, h @ weights.w_hh.T
    if weights.b_ih is not None and weights.b_hh is not None:
        return a_x + weights.b_ih, a_h + weights.b_hh
    return a_x, a_h


def parts_backward(
    da_x: Floats, da_h: Floats, x: Floats, h: Floats, weights: Weights[Floats]
) -> tuple[Floats, Floats, Weights[Floats]]:
    """Gradients of ``parts``: of x [B, I], of h [B, P or H] and of the weights (without a projection)."""
    biased = weights.b_ih is not None
    gradient = Weights(
        w_ih=da_x.T @ x,
        w_hh=da_h.T @ h,
        b_ih=da_x.sum(axis=0) if biased else None,
        b_hh=da_h.sum(axis=0) if biased else None,
    )
    return da_x @ weights.w_ih, da_h @ weights.w_hh, gradient


def sigmoid(a: Floats) -> Floats:
    """σ(a) = 1 / (1 + e⁻ᵃ), without overflow and without losing digits in either tail."""
    e = np.exp(-np.abs(a))
    result: Floats = np.where(a >= 0, 1, e) / (1 + e)
    return result


def blocks(a: Floats, spec: CellSpec) -> list[Floats]:
    """The blocks of [B, G·H], one per gate, [B, H] each."""
    return np.split(a, len(spec.gates), axis=1)
