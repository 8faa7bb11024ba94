"""Cells with a linear recurrence: the gates of all steps are one product, and the rest is a scan.

    u = x W_ihᵀ + b_ih                      for all steps at once
    h_t = a_t ⊙ h_{t-1} + b_t               a and b computed from u; one pass over memory (``linear_scan.py``)

Masks change a and b: zoneout mixes them with 1 and 0, and a reset sets a to 0. Recurrent dropout changes nothing,
because h enters no product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.composed import eigenvalues, positive
from seriatim.ops.eager import is_forward_mode, is_transformed
from seriatim.ops.linear_scan import COEFFICIENTS, Parts, gated_scan, runs_in_engine, scan
from seriatim.ops.products import linear
from seriatim.spec import CellSpec

State: TypeAlias = tuple[Tensor, ...]


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor]) -> bool:
    """Whether the cell has a linear recurrence.

    Transforms of ``torch.func`` and forward mode are left to the composed steps. So is zoneout of complex numbers,
    because it would keep a real part and replace the imaginary part, or the reverse.
    """
    has_complex_zoneout = bool(walk.zoneout) and len(spec.states) > 1
    return spec.is_diagonal and not (is_transformed() or has_complex_zoneout or is_forward_mode())


def run(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]) -> tuple[Tensor, State]:
    """Contract: ``ops.recurrence.recurrence``."""
    output, final, _ = _run(spec, x, state, weights, walk)
    return output, final


def run_with_states(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Contract: ``ops.recurrence.recurrence_with_states``."""
    output, final, inner = _run(spec, x, state, weights, walk)
    gates = GATES[spec.kind](_input_part(x, weights, walk).chunk(len(spec.gates), dim=-1))
    padding = _padding(x, walk)
    if padding is not None:
        gates = tuple(gate.masked_fill(padding, 0) for gate in gates)
    states = dict(zip(spec.states[1:], inner, strict=True))
    return output, final, states | {name: gate.detach() for name, gate in zip(spec.gates, gates, strict=True)}


def _run(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State, Parts]:
    """Output, final state, and the other states at every step."""
    u = _input_part(x, weights, walk)
    options = walk.lengths, walk.reverse, walk.reset
    if spec.kind == "lru":
        a, b = _lru_coefficients(u, weights)
        inner, last = scan(a, b, state[1:], *options)
        output, final = _lru_output(inner, u.chunk(3, dim=-1)[2], weights, walk)
        return output, (final, *last), inner
    if not walk.zoneout and runs_in_engine(u):
        h, h_n = gated_scan(spec.kind, u, state[0], *options)
        return h, (h_n,), []
    coefficients = COEFFICIENTS[spec.kind](u)
    if walk.zoneout:
        coefficients = _zoneout(*coefficients, walk.zoneout[0])
    parts, last = scan([coefficients[0]], [coefficients[1]], state, *options)
    return parts[0], tuple(last), []


def _input_part(x: Tensor, weights: Weights[Tensor], walk: Walk[Tensor]) -> Tensor:
    """u [T, B, G·H]."""
    padding = _padding(x, walk)
    x = x if padding is None else x.masked_fill(padding, 0)  # padding may hold anything, even NaN
    return linear(x, weights.w_ih, weights.b_ih)


def _padding(x: Tensor, walk: Walk[Tensor]) -> Tensor | None:
    """[T, B, 1], True beyond a row's length; None without lengths."""
    if walk.lengths is None:
        return None
    return (torch.arange(x.shape[0])[:, None] >= walk.lengths)[:, :, None].to(x.device)


def _zoneout(a: Tensor, b: Tensor, k: Tensor | None) -> tuple[Tensor, Tensor]:
    """a and b of h_t = k ⊙ h_{t-1} + (1 - k) ⊙ (a ⊙ h_{t-1} + b)."""
    if k is None:
        return a, b
    k = k.to(a.dtype)
    return k + (1 - k) * a, (1 - k) * b


def _lru_output(inner: Parts, skip: Tensor, weights: Weights[Tensor], walk: Walk[Tensor]) -> tuple[Tensor, Tensor]:
    """(4) of an LRU, [T, B, H], and the last h of each row."""
    assert weights.w_hy is not None
    output = linear(torch.cat(inner, dim=-1), weights.w_hy) + skip
    padding = _padding(output, walk)
    output = output if padding is None else output.masked_fill(padding, 0)
    if walk.reverse or walk.lengths is None:
        return output, output[0 if walk.reverse else -1]
    ends = (walk.lengths - 1).to(output.device)
    return output, output[ends, torch.arange(len(ends), device=output.device)]


def _lru_coefficients(u: Tensor, weights: Weights[Tensor]) -> tuple[Parts, Parts]:
    """a and b of an LRU, (2) and (3), real and imaginary parts."""
    assert weights.decay is not None
    l_re, l_im, gain = (value[None, None] for value in eigenvalues(weights.decay))
    b_re, b_im, _ = u.chunk(3, dim=-1)
    return [l_re, l_im], [gain * b_re, gain * b_im]


GATES: dict[str, Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]] = {
    "mingru": lambda u: (torch.sigmoid(u[0]), positive(u[1])),
    "minlstm": lambda u: (torch.sigmoid(u[0]), torch.sigmoid(u[1]), positive(u[2])),
    "lru": lambda u: u,
}
"""The gates after activation, from the blocks of u."""
