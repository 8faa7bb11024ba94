"""The interface of a cell (one step, and one step backward) and the arithmetic that all cells share.

h_{t-1} reaches a cell twice: as the state itself, and as ĥ_t, the factor of products. The two differ only by recurrent
dropout, which the scan applies. Each equation of a cell says which of the two it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seriatim.kernels.normalise import normalise, normalise_backward
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

Floats: TypeAlias = NDArray[np.floating[Any]]
State: TypeAlias = tuple[Floats, ...]
"""One array [B, ·] per name in ``notation.STATES``, in that order."""
Gates: TypeAlias = tuple[Floats, ...]
"""One array [B, H] per name in ``notation.GATES``, in that order, after its activation."""
Tape: TypeAlias = tuple[Any, ...]
"""The values that a step saves for its backward step."""


@dataclass(frozen=True)
class CellFunctions:
    """A cell: one step, and one step backward."""

    step: Callable[[CellSpec, Floats, Floats, State, Weights[Floats]], tuple[State, Gates, Tape]]
    """(spec, x [B, I], ĥ [B, P or H], state, weights) → (next state, gates, tape)."""
    step_backward: Callable[[CellSpec, State, Tape, Weights[Floats]], tuple[Floats, Floats, State, Weights[Floats]]]
    """(spec, gradient of the next state, tape, weights) → (gradient of x, of ĥ, of the state, of the weights)."""


def part(factor: Floats, weight: Floats, bias: Floats | None, gain: Floats | None) -> tuple[Floats, Tape]:
    """The part of x or ĥ in every gate before its activation, [B, G·H], and the values for the backward pass.

    a = factor Wᵀ + b,  or normalised  a = g ⊙ norm(factor Wᵀ) + b
    """
    a = factor @ weight.T
    tape: Tape = (factor,)
    if gain is not None:
        normal, deviation = normalise(a)
        a, tape = gain * normal, (factor, normal, deviation)
    return (a if bias is None else a + bias), tape


def part_backward(
    da: Floats, weight: Floats, bias: Floats | None, gain: Floats | None, tape: Tape
) -> tuple[Floats, Floats, Floats | None, Floats | None]:
    """Gradients of ``part``: of its input, of the weight, the bias and the gain."""
    factor, *normalised = tape
    grad_bias = None if bias is None else da.sum(axis=0)
    grad_gain = None
    if gain is not None:
        normal, deviation = normalised
        grad_gain = (da * normal).sum(axis=0)
        da = normalise_backward(da * gain, normal, deviation)
    return da @ weight, da.T @ factor, grad_bias, grad_gain


def projected(m: Floats, weights: Weights[Floats]) -> Floats:
    """h = m, or m W_hrᵀ with a projection (Sak 2014)."""
    return m if weights.w_hr is None else m @ weights.w_hr.T


def projected_backward(dh: Floats, m: Floats, weights: Weights[Floats]) -> tuple[Floats, Floats | None]:
    """Gradients of ``projected``: of m and of W_hr."""
    return (dh, None) if weights.w_hr is None else (dh @ weights.w_hr, dh.T @ m)


def clipped(spec: CellSpec, a: Floats) -> tuple[Floats, Floats | float]:
    """A gate before its activation, limited to ± ``spec.clip``, and the factor of its gradient."""
    if not spec.clip:
        return a, 1.0
    return np.clip(a, -spec.clip, spec.clip), (np.abs(a) <= spec.clip).astype(a.dtype)


def sigmoid(a: Floats) -> Floats:
    """σ(a) = 1 / (1 + e⁻ᵃ), without overflow and without losing digits in either tail."""
    e = np.exp(-np.abs(a))
    result: Floats = np.where(a >= 0, 1, e) / (1 + e)
    return result


def blocks(a: Floats, spec: CellSpec) -> list[Floats]:
    """The blocks of [B, G·H], one per gate, [B, H] each."""
    return np.split(a, len(spec.gates), axis=1)
