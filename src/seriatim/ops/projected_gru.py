"""A projected GRU as a GRU without projection, which the engine runs: (c W_hrᵀ) W_hhᵀ = c (W_hh W_hr)ᵀ.

So c is the state of a plain GRU with the recurrent weights W_hh W_hr, a product that is made once for all steps. The
output is one product with W_hr at the end. The first step runs in plain operations, because the caller's h need not be
the projection of the caller's c.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import linear

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import composed, native
from seriatim.ops.variable_length import State, cut, has_no_masks, over_lengths
from seriatim.spec import CellSpec


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor]) -> bool:
    """Whether this is a projected GRU, the walk has no mask but resets, and the engine runs the plain GRU.

    With T·B < H the product W_hh W_hr costs more than it saves.
    """
    return (
        spec.kind == "gru"
        and bool(spec.proj_size)
        and len(x) * x.shape[1] >= spec.hidden_size
        and has_no_masks(replace(walk, reset=None))
        and not torch.is_autocast_enabled(x.device.type)
        and native.fits(_unprojected(spec), x, walk)
    )


def _unprojected(spec: CellSpec) -> CellSpec:
    return replace(spec, proj_size=0)


def _run_padded(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State]:
    steps, rows = x.shape[:2]
    if steps * rows < spec.hidden_size:  # a block of rows with lengths
        return composed.run(spec, x, state, weights, walk)
    assert weights.w_hr is not None
    first, (h, c) = composed.run(spec, x[:1], state, weights, cut(walk, 0, 1, rows))
    if steps == 1:
        return first, (h, c)
    plain = replace(weights, w_hh=weights.w_hh @ weights.w_hr, w_hr=None)
    states, (c_n,) = native.run(_unprojected(spec), x[1:], (c,), plain, cut(walk, 1, steps - 1, rows))
    output = linear(states, weights.w_hr)
    return torch.cat([first, output]), (output[-1], c_n)


run = over_lengths(_run_padded)
"""Contract: ``ops.recurrence.recurrence``."""
