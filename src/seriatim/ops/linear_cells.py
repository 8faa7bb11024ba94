"""Cells whose recurrence is diagonal and linear: the gates of all steps are one product, and the rest is a scan.

    u = x W_ihᵀ + b_ih                      for all steps at once
    h_t = a_t ⊙ h_{t-1} + b_t               a and b made of u; one pass over memory (``scan.py``)

What a walk asks for is a change of a and b: zoneout mixes them with 1 and 0, and a state is reset by a = 0. Recurrent
dropout changes nothing, since h enters no product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import linear

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops.composed import eigenvalues, positive
from seriatim.ops.gated import COEFFICIENTS, gated_scan
from seriatim.ops.linear_scan import Parts, by_engine, scan
from seriatim.spec import CellSpec

State: TypeAlias = tuple[Tensor, ...]


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor]) -> bool:
    """Whether the cell is one of these. Transforms of functions and forward mode are left to the plain steps, and so is
    zoneout of complex numbers, whose two parts it would keep apart."""
    special = torch._C._functorch.peek_interpreter_stack() is not None
    mixes = bool(walk.zoneout) and len(spec.states) > 1
    return spec.is_diagonal and not (special or mixes) and forward_ad._current_level < 0


def run(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]) -> tuple[Tensor, State]:
    """Contract: ``ops.recurrence.recurrence``."""
    output, final, _ = _run(spec, x, state, weights, walk)
    return output, final


def every(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Contract: ``ops.recurrence.recurrence_every``."""
    output, final, inner = _run(spec, x, state, weights, walk)
    gates = zip(
        spec.gates, GATES[spec.kind](_input_part(spec, x, weights, walk).chunk(len(spec.gates), dim=-1)), strict=True
    )
    beyond = _beyond(x, walk)
    told = {name: (one if beyond is None else one.masked_fill(beyond, 0)).detach() for name, one in gates}
    return output, final, dict(zip(spec.states[1:], inner, strict=True)) | told


def _run(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State, Parts]:
    """Output, final state, and what the states beside h were at every step."""
    u = _input_part(spec, x, weights, walk)
    asked = walk.lengths, walk.reverse, walk.reset
    if spec.kind == "lru":
        a, b = _complex(u, weights)
        inner, last = scan(a, b, state[1:], *asked)
        output, final = _read_out(inner, u.chunk(3, dim=-1)[2], weights, walk)
        return output, (final, *last), inner
    if not walk.zoneout and by_engine(u):
        h, end = gated_scan(spec.kind, u, state[0], *asked)
        return h, (end,), []
    mixed, added = COEFFICIENTS[spec.kind](u)
    if walk.zoneout:
        mixed, added = _held(mixed, added, walk.zoneout[0])
    walked, last = scan([mixed], [added], state, *asked)
    return walked[0], tuple(last), []


def _input_part(spec: CellSpec, x: Tensor, weights: Weights[Tensor], walk: Walk[Tensor]) -> Tensor:
    """u [T, B, G·H]."""
    beyond = _beyond(x, walk)
    x = x if beyond is None else x.masked_fill(beyond, 0)  # padding may hold anything, even NaN
    return linear(x, weights.w_ih, weights.b_ih)


def _beyond(x: Tensor, walk: Walk[Tensor]) -> Tensor | None:
    if walk.lengths is None:
        return None
    return (torch.arange(len(x))[:, None] >= walk.lengths)[:, :, None].to(x.device)


def _held(a: Tensor, b: Tensor, k: Tensor | None) -> tuple[Tensor, Tensor]:
    """Zoneout: h_t = k ⊙ h_{t-1} + (1 - k) ⊙ (a ⊙ h_{t-1} + b)."""
    if k is None:
        return a, b
    k = k.to(a.dtype)
    return k + (1 - k) * a, (1 - k) * b


def _read_out(inner: Parts, skip: Tensor, weights: Weights[Tensor], walk: Walk[Tensor]) -> tuple[Tensor, Tensor]:
    """(4) of an LRU, [T, B, H], and the last h of each row."""
    assert weights.w_hy is not None
    output = linear(torch.cat(inner, dim=-1), weights.w_hy) + skip
    beyond = _beyond(output, walk)
    output = output if beyond is None else output.masked_fill(beyond, 0)
    if walk.reverse or walk.lengths is None:
        return output, output[0 if walk.reverse else -1]
    ends = (walk.lengths - 1).to(output.device)
    return output, output[ends, torch.arange(len(ends), device=output.device)]


def _complex(u: Tensor, weights: Weights[Tensor]) -> tuple[Parts, Parts]:
    """a and b of an LRU, (2) and (3), real and imaginary parts."""
    assert weights.decay is not None
    l_re, l_im, gain = (one[None, None] for one in eigenvalues(weights.decay))
    b_re, b_im, _ = u.chunk(3, dim=-1)
    return [l_re, l_im], [gain * b_re, gain * b_im]


GATES: dict[str, Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]] = {
    "mingru": lambda u: (torch.sigmoid(u[0]), positive(u[1])),
    "minlstm": lambda u: (torch.sigmoid(u[0]), torch.sigmoid(u[1]), positive(u[2])),
    "lru": lambda u: u,
}
"""The gates after activation, out of u."""
