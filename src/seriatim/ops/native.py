"""The recurrence by the native engine, on CPU tensors of float32 and float64, and of bfloat16 through float32.

In bfloat16 the products multiply bfloat16 where the engine has such products (AMX); all else is float32 within a
call. Results have the dtypes that PyTorch gives them, under autocast too.

Calls that are traced or transformed go through the operators of ``operators.py``, which cost more per call. All others
go through ``autograd.run_layer``.
"""

from __future__ import annotations

import dataclasses
import functools

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from seriatim.kernels import native
from seriatim.kernels import state_layout as layout
from seriatim.kernels.normalise import EPSILON
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import engine
from seriatim.ops.arguments import (
    FULL,
    Flat,
    Plan,
    State,
    dense,
    dense_rows,
    pack_arguments,
    present_weights,
    weight_list,
)
from seriatim.ops.autograd import run_layer
from seriatim.ops.eager import is_forward_mode, is_nested_gradient, is_traced_or_transformed, needs_gradient
from seriatim.ops.eager_layers import CHUNK
from seriatim.ops.engine import Save, address
from seriatim.ops.operators import run_operator
from seriatim.ops.packed_weights import packed_weights
from seriatim.ops.products import linear
from seriatim.spec import CellSpec

PLAIN: Walk[Tensor] = Walk()

REDUCED = {("lstm", False), ("rnn", False), ("rnn", True)}
"""(kind, one step) of the calls that ``torch.autocast`` runs in its own dtype. The others keep the dtype of x and h."""


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor] = PLAIN) -> bool:
    """Whether the engine is there and runs this cell on this device and dtype. It runs every walk.

    Derivatives in forward mode and second derivatives of ``torch.func`` are left to later rows of the table.
    """
    return (
        native.fuses(spec)
        and x.is_cpu
        and (x.dtype in FULL or x.dtype is torch.bfloat16)
        and native.ready()
        and not is_forward_mode()
        and not is_nested_gradient()
    )


def fits_step(spec: CellSpec, x: Tensor) -> bool:
    """As ``fits``, for one step."""
    return fits(spec, x)


def run(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State]:
    """Contract: ``ops.recurrence.recurrence``."""
    output, final, _, _ = _run(spec, x, state, weights, walk, returns_states=False)
    return output, final


def run_with_states(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Contract: ``ops.recurrence.recurrence_with_states``."""
    output, final, slots, cells = _run(spec, x, state, weights, walk, returns_states=True)
    assert slots is not None
    inner = dict(zip(spec.gates, slots.detach().unbind(2), strict=False))
    if cells is not None:
        inner |= zip(spec.states[1:], layout.split_states(spec, cells), strict=True)
    return output, final, {name: inner[name] for name in spec.traced}


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """Contract: ``ops.recurrence.step``."""
    if x.dtype in FULL and not torch.is_autocast_enabled("cpu") and not spec.layer_norm:
        weight_tensors = present_weights(weights)
        tensors = (x, *state, *weight_tensors)
        if not is_traced_or_transformed(tensors) and not needs_gradient(tensors):
            return _infer_step(spec, x, state, weight_tensors)
    _, final, _, _ = _run(spec, x.unsqueeze(0), state, weights, PLAIN, returns_states=False, is_step=True)
    return final


def _infer_step(spec: CellSpec, x: Tensor, state: State, weights: Flat) -> State:
    packed = packed_weights(_plan(spec), weights, state[0])
    if len(state) > 2:
        state = layout.to_engine(torch, state)
    x, h, c = dense(x), dense(state[0]), dense(state[1]) if len(state) == 2 else None
    engine.check(packed, x, h, c)
    h_n = torch.empty_like(h)
    c_n = None if c is None else torch.empty_like(c)
    native.engine().step(
        packed.packed, x.shape[0], x.data_ptr(), h.data_ptr(), address(c), h_n.data_ptr(), address(c_n),
        torch.get_num_threads(),
    )  # fmt: skip
    if packed.fingerprint is not None:
        packed.fingerprint.remember_state(h_n)
    return (h_n,) if c_n is None else layout.from_engine(spec, (h_n, c_n))


def _run(
    spec: CellSpec,
    x: Tensor,
    state: State,
    weights: Weights[Tensor],
    walk: Walk[Tensor],
    *,
    returns_states: bool,
    is_step: bool = False,
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """Output, final state, and with ``returns_states`` slots and cells, in the dtypes that PyTorch gives."""
    state = layout.to_engine(torch, state)
    if len(walk.zoneout) > 2:
        walk = dataclasses.replace(walk, zoneout=layout.zoneout_to_engine(torch, walk.zoneout))
    if x.dtype in FULL and not (torch.is_autocast_enabled("cpu") and x.dtype is not torch.float64):
        output, final, slots, cells = _run_in_full(spec, False, x, state, weights, walk, returns_states)
    else:
        output, final, slots, cells = _run_reduced(spec, x, state, weights, walk, returns_states, is_step)
    return output, layout.from_engine(spec, final), slots, cells


def _run_reduced(
    spec: CellSpec,
    x: Tensor,
    state: State,
    weights: Weights[Tensor],
    walk: Walk[Tensor],
    returns_states: bool,
    is_step: bool,
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """The same in bfloat16 or under autocast: in float32 inside."""
    autocast = torch.is_autocast_enabled("cpu") and x.dtype is not torch.float64
    autocast_dtype = torch.get_autocast_dtype("cpu") if autocast else None
    # PyTorch's autocast does not change a packed LSTM without projection.
    is_packed_lstm = spec.kind == "lstm" and not spec.proj_size and walk.lengths is not None
    if autocast_dtype is not None and (spec.kind, is_step) in REDUCED and not is_packed_lstm:
        dtype = autocast_dtype
    else:
        dtype = torch.promote_types(x.dtype, state[0].dtype)
    c_dtype = state[-1].dtype
    with torch.autocast("cpu", enabled=False):
        bf16 = torch.bfloat16 in (x.dtype, autocast_dtype)
        state = tuple(part.float() for part in state)
        tensors = (x, *state, *weight_list(weights))
        is_general = needs_gradient(tensors) or bool(spec.layer_norm) or is_traced_or_transformed(tensors)
        if not (is_general or returns_states or _has_masks(walk)):
            output, final = _infer_chunks(_plan(spec, False, bf16), x, state, weights, walk.reverse, dtype)
            slots = cells = None
        else:
            if is_general:  # otherwise the weights are converted when they are packed
                weights = Weights(*[None if weight is None else weight.float() for weight in weight_list(weights)])  # type: ignore[arg-type]
            walk = dataclasses.replace(
                walk, dropout=_float_mask(walk.dropout), zoneout=tuple(map(_float_mask, walk.zoneout))
            )
            output, final, slots, cells = _run_in_full(spec, bf16, x.float(), state, weights, walk, returns_states)
        slots, cells = None if slots is None else slots.to(dtype), None if cells is None else cells.to(dtype)
        final_parts = [part.to(dtype) for part in final]
        if autocast and spec.proj_size and len(final) == 2:  # PyTorch's autocast does not change this c
            final_parts[1] = final[1].to(c_dtype)
        return output.to(dtype), tuple(final_parts), slots, cells


def _float_mask(mask: Tensor | None) -> Tensor | None:
    return mask if mask is None or mask.dtype is torch.bool else mask.float()


def _has_masks(walk: Walk[Tensor]) -> bool:
    """Whether the walk has more than a direction."""
    return any(mask is not None for mask in (walk.lengths, walk.reset, walk.dropout, *walk.zoneout))


def _infer_chunks(
    plan: Plan, x: Tensor, state: State, weights: Weights[Tensor], reverse: bool, dtype: torch.dtype
) -> tuple[Tensor, State]:
    """An inference without masks whose x and output have fewer bits, some steps at a time.

    The float32 output of one chunk stays in a cache.
    """
    packed = packed_weights(plan, present_weights(weights))
    steps, rows = x.shape[:2]
    output = torch.empty((steps, rows, plan.spec.output_size), dtype=dtype)
    chunk = max(1, CHUNK // (4 * max(1, rows * plan.spec.output_size)))
    starts = range(0, max(1, steps), chunk)  # a call without steps gets one chunk, and ``check`` refuses it
    h, c = [dense(part) for part in state] if len(state) == 2 else (dense(state[0]), None)
    for start in reversed(starts) if reverse else starts:
        part = dense_rows(x[start : start + chunk].float())
        engine.check(packed, part, h, c)
        output[start : start + chunk], h, c, _, _ = engine.forward(packed, reverse, (), Save.NOTHING, part, h, c)
    return output, (h,) if c is None else (h, c)


def _run_in_full(
    spec: CellSpec,
    bf16: bool,
    x: Tensor,
    state: State,
    weights: Weights[Tensor],
    walk: Walk[Tensor],
    returns_states: bool,
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """The same in float32 or float64."""
    if spec.layer_norm:
        x, weights = _project_input(x, weights, walk)
    if is_traced_or_transformed((x,)):  # ``run_layer`` looks at the other tensors
        plan = Plan(spec, spec.layer_norm, bf16)
        return run_operator(plan, walk.reverse, pack_arguments(x, state, weights, walk), returns_states=returns_states)
    return run_layer(_plan(spec, spec.layer_norm, bf16), x, state, weights, walk, returns_states=returns_states)


_plan = functools.cache(Plan)


def _project_input(x: Tensor, weights: Weights[Tensor], walk: Walk[Tensor]) -> tuple[Tensor, Weights[Tensor]]:
    """The input part of a layer-normalised cell, which the engine reads in place of x, and the other weights."""
    if walk.lengths is not None:  # padding may hold anything, even NaN
        x = x.masked_fill((torch.arange(x.shape[0])[:, None] >= walk.lengths)[:, :, None], 0)
    return input_part(x, weights), weights.without_input()


def input_part(x: Tensor, weights: Weights[Tensor]) -> Tensor:
    """The normalised input part [T, B, G·H] of the gates."""
    gain = weights.g_ih
    assert gain is not None
    return layer_norm(linear(x, weights.w_ih), gain.shape, gain, weights.b_ih, EPSILON)
