"""A projected GRU as one that is not, which the engine runs: (c W_hrᵀ) W_hhᵀ is c (W_hh W_hr)ᵀ.

So c is the state of a plain GRU whose recurrent weights are that product, made once for all steps, and the output is
one product with W_hr at the end. It holds from the second step on: the first, which starts from an h that a caller may
have given whatever his c is, runs in plain operations.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import linear

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import composed, masks, native
from seriatim.ops.variable_length import State, over_lengths
from seriatim.spec import CellSpec


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor]) -> bool:
    """Whether this is such a GRU, nothing but a reset changes its states, and the engine runs the plain one.

    Where a call has fewer steps of rows than there are units, W_hh W_hr costs more than it saves.
    """
    return (
        spec.kind == "gru"
        and bool(spec.proj_size)
        and len(x) * x.shape[1] >= spec.hidden_size
        and masks.plain(replace(walk, reset=None))
        and not torch.is_autocast_enabled(x.device.type)
        and native.fits(_unprojected(spec), x, walk)
    )


def _unprojected(spec: CellSpec) -> CellSpec:
    return replace(spec, proj_size=0)


def _padded(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor]
) -> tuple[Tensor, State]:
    steps, rows = x.shape[:2]
    if steps * rows < spec.hidden_size:  # a tread of a staircase
        return composed.forward(spec, x, state, weights, walk)
    assert weights.w_hr is not None
    first, (h, c) = composed.forward(spec, x[:1], state, weights, masks.block(walk, 0, 1, rows))
    if steps == 1:
        return first, (h, c)
    plain = replace(weights, w_hh=weights.w_hh @ weights.w_hr, w_hr=None)
    kept, (c_n,) = native.run(_unprojected(spec), x[1:], (c,), plain, masks.block(walk, 1, steps - 1, rows))
    output = linear(kept, weights.w_hr)
    return torch.cat([first, output]), (output[-1], c_n)


run = over_lengths(_padded)
"""Contract: ``ops.recurrence.recurrence``."""
