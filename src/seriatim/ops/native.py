"""The recurrence by the native engine, on CPU tensors of float32 and float64, and of bfloat16 through float32.

In bfloat16 the products are made of it where the engine has such products (AMX); all else is float32 within a call.

Three ways lead to it. Where nothing needs a gradient the call goes straight to the engine, with the weights packed in
advance. In plain training it goes through one ``autograd.Function``. Under ``torch.compile``, ``torch.export``,
``torch.func``, fake tensors and their kin it goes through the operators of ``operators.py``, which cost more per call.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import layer_norm, linear

from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.kernels.normalise import EPSILON
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import engine
from seriatim.ops.buffer_pool import NUMPY
from seriatim.ops.double_backward import derivative
from seriatim.ops.engine import DIFFERENTIABLE, Flat, Plan, State
from seriatim.ops.operators import by_operator
from seriatim.ops.packed_weights import packed
from seriatim.ops.state_layout import apart, joined, joined_shares, pieces
from seriatim.spec import CellSpec

FULL = (torch.float32, torch.float64)
"""What the engine computes in."""
PIECE = 1 << 20
"""Bytes of output in float32 that an inference of fewer bits makes at a time: the second cache holds them."""
PLAIN: Walk[Tensor] = Walk()

REDUCED = {("lstm", False), ("rnn", False), ("rnn", True)}
"""(kind, one step): what ``torch.autocast`` runs in its own dtype. The others keep the dtype of x and h."""


def fits(spec: CellSpec, x: Tensor, walk: Walk[Tensor] = PLAIN) -> bool:
    """Whether the engine is there and runs this cell on this device and dtype. It runs every walk.

    Left to the implementations after this one are derivatives in forward mode and ``torch.func``'s of second order.
    """
    return (
        native.fuses(spec)
        and x.is_cpu
        and (x.dtype in FULL or x.dtype is torch.bfloat16)
        and native.ready()
        and forward_ad._current_level < 0
        and not _nested()
    )


def fits_step(spec: CellSpec, x: Tensor) -> bool:
    """As ``fits``."""
    return fits(spec, x)


def run(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State]:
    """Contract: ``ops.recurrence.recurrence``."""
    output, final, _, _ = _run(spec, x, state, weights, walk, shown=False)
    return output, final


def every(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor] = PLAIN
) -> tuple[Tensor, State, dict[str, Tensor]]:
    """Contract: ``ops.recurrence.recurrence_every``."""
    output, final, slots, cells = _run(spec, x, state, weights, walk, shown=True)
    assert slots is not None
    inside = dict(zip(spec.gates, slots.detach().unbind(2), strict=False))
    if cells is not None:
        inside |= zip(spec.states[1:], pieces(spec, cells), strict=True)
    return output, final, {name: inside[name] for name in spec.traced}


def step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    """Contract: ``ops.recurrence.step``."""
    if (
        x.dtype in FULL
        and not spec.layer_norm
        and not torch.is_autocast_enabled("cpu")
        and not watched(x)
        and not _needs_gradient(x, state, weights)
    ):
        return _step(spec, x, state, weights)
    _, final, _, _ = _run(spec, x.unsqueeze(0), state, weights, PLAIN, shown=False, one_step=True)
    return final


def _step(spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor]) -> State:
    cell = native.cell(spec)
    packing, seen = packed(cell, engine.every(weights), 1, state[0])
    state = joined(state)
    final = [np.empty(one.shape, NUMPY[x.dtype]) for one in state]  # cheaper than a tensor of this size
    try:
        native.engine().step(cell, packing, engine.array(x), [engine.array(one) for one in state], final)
    except ValueError as error:
        raise UsageError(str(error)) from error
    made = tuple(map(torch.from_numpy, final))
    if seen is not None:
        seen.led_to(made[0])
    return apart(spec, made)


def _run(
    spec: CellSpec,
    x: Tensor,
    state: State,
    weights: Weights[Tensor],
    walk: Walk[Tensor],
    *,
    shown: bool,
    one_step: bool = False,
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """Output, final state, slots and cells, the last two where shown; for any cell."""
    state, walk = joined(state), joined_shares(walk)
    output, final, slots, cells = _in_full(spec, x, state, weights, walk, shown, one_step)
    return output, apart(spec, final), slots, cells


def _in_full(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor], shown: bool, one_step: bool
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """The same of a state as the engine takes it, whatever the dtype."""
    autocast = torch.is_autocast_enabled("cpu") and x.dtype is not torch.float64
    if not autocast and x.dtype in FULL:
        return _dispatched(spec, x, state, weights, walk, shown, one_step)
    packed_lstm = spec.kind == "lstm" and not spec.proj_size and walk.lengths is not None  # which PyTorch leaves alone
    if autocast and (spec.kind, one_step) in REDUCED and not packed_lstm:
        wanted = torch.get_autocast_dtype("cpu")
    else:
        wanted = torch.promote_types(x.dtype, state[0].dtype)
    of_c = state[-1].dtype
    with torch.autocast("cpu", enabled=False):
        halves = torch.bfloat16 in (x.dtype, torch.get_autocast_dtype("cpu") if autocast else None)
        state = tuple(one.float() for one in state)
        differentiated = _needs_gradient(x, state, weights)
        if not (shown or differentiated or spec.layer_norm or watched(x) or _masks(walk)):
            output, final = _in_pieces(_plan(spec, False, walk.reverse, halves), x, state, weights, wanted)
            slots = cells = None
        else:
            if differentiated or spec.layer_norm or watched(x):  # else they are packed from what they are
                floats = [None if one is None else one.float() for one in engine.every(weights)]
                weights = Weights(*floats)  # type: ignore[arg-type]
            masks = [
                one if one is None or one.dtype is torch.bool else one.float() for one in (walk.dropout, *walk.zoneout)
            ]
            walk = dataclasses.replace(walk, dropout=masks[0], zoneout=tuple(masks[1:]))
            output, final, slots, cells = _dispatched(spec, x.float(), state, weights, walk, shown, one_step, halves)
        slots, cells = None if slots is None else slots.to(wanted), None if cells is None else cells.to(wanted)
        ended = [one.to(wanted) for one in final]
        if autocast and spec.proj_size and len(final) == 2:  # whose c autocast leaves alone
            ended[1] = final[1].to(of_c)
        return output.to(wanted), tuple(ended), slots, cells


def _masks(walk: Walk[Tensor]) -> bool:
    """Whether the walk has more to it than its direction."""
    return any(one is not None for one in (walk.lengths, walk.reset, walk.dropout, *walk.zoneout))


def _in_pieces(
    plan: Plan, x: Tensor, state: State, weights: Weights[Tensor], dtype: torch.dtype
) -> tuple[Tensor, State]:
    """A plain inference with x and output of fewer bits, some steps at a time, whose float32 then stays in a cache."""
    threads = torch.get_num_threads()
    packing, _ = packed(plan.cell, engine.every(weights), threads)
    steps, rows = x.shape[:2]
    output = torch.empty((steps, rows, plan.spec.output_size), dtype=dtype)
    together = max(1, PIECE // (4 * max(1, rows * plan.spec.output_size)))
    begins = range(0, max(1, steps), together)  # no steps at all are refused where all is
    for begin in reversed(begins) if plan.reverse else begins:
        some = slice(begin, begin + together)
        made, final, _, _ = engine.forward(plan, packing, x[some].float(), state, Walk(reverse=plan.reverse), threads)
        output[some] = made
        state = tuple(final)
    return output, state


def _dispatched(
    spec: CellSpec, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor], shown: bool, one_step: bool,
    halves: bool = False,
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:  # fmt: skip
    """The same in float32 or float64, by one of the three ways; ``halves`` if the products may be of bfloat16."""
    if spec.layer_norm:
        x, weights = _input_part(x, weights, walk)
    if watched(x):
        plan = Plan(spec, spec.layer_norm, walk.reverse, halves)
        return by_operator(plan, engine.flat(x, state, weights, walk), shown=shown)
    plan = _plan(spec, spec.layer_norm, walk.reverse, halves)
    if _needs_gradient(x, state, weights):
        output, *rest = _apply(plan, shown, one_step, *engine.flat(x, state, weights, walk))
        final, inside = tuple(rest[: len(state)]), rest[len(state) :]
        return output, final, inside[0] if shown else None, inside[1] if len(inside) > 1 else None
    threads = torch.get_num_threads()
    packing, _ = packed(plan.cell, engine.every(weights), threads)
    output, last, slots, cells = engine.forward(plan, packing, x, state, walk, threads, "shown" if shown else "nothing")
    return output, tuple(last), slots, cells


class _Recurrence(torch.autograd.Function):
    """Training, one operation by operation. Returns output, final state and, where shown, slots and cells."""

    @staticmethod
    def forward(ctx: Any, plan: Plan, shown: bool, one_step: bool, *arguments: Tensor | None) -> tuple[Tensor, ...]:
        x, state, weights, walk = engine.parts(plan, arguments)
        threads = torch.get_num_threads()
        # Steps in a loop share a packing. A layer packs afresh, since the weights change with every training step.
        every = engine.every(weights)
        packing = packed(plan.cell, every, threads)[0] if one_step else engine.pack(plan.cell, every, threads)
        output, final, slots, cells = engine.forward(
            plan, packing, x, state, walk, threads, "shown" if shown else "leased"
        )
        ctx.plan = plan
        ctx.shown = shown
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*arguments, output, slots, cells)
        if not shown:
            return output, *final
        ctx.mark_non_differentiable(slots)
        assert slots is not None
        return (output, *final, slots) if cells is None else (output, *final, slots, cells)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        *arguments, output, slots, cells = ctx.saved_tensors
        plan: Plan = ctx.plan
        wanted = ctx.needs_input_grad[3 : 3 + len(DIFFERENTIABLE)]
        found = _gradients(plan, arguments, (output, slots, cells), _placed(plan, grads, ctx.shown), wanted)
        return None, None, None, *found, *(None for _ in arguments[len(DIFFERENTIABLE) :])


_apply: Any = super(torch.autograd.Function, _Recurrence).apply
"""``_Recurrence.apply`` without its looking for transforms, of which ``watched`` says that there are none."""


def _placed(plan: Plan, grads: Flat, shown: bool) -> Flat:
    """The gradients of output, h_n, c_n and cells."""
    if not plan.carries:
        return grads[0], grads[1], None, None
    return *grads[:3], grads[-1] if shown else None


def _gradients(
    plan: Plan, arguments: Flat, made: tuple[Tensor, Tensor, Tensor | None], grads: Flat, wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    if all(one is None for one in grads):
        return [None for _ in wanted]
    if torch.is_grad_enabled():  # somebody wants a graph of the gradient
        return derivative(plan, arguments, wanted, grads)
    return engine.backward(plan, arguments, made, grads, wanted, torch.get_num_threads())


@functools.cache
def _plan(spec: CellSpec, given: bool, reverse: bool, halves: bool) -> Plan:
    return Plan(spec, given, reverse, halves)


def _input_part(x: Tensor, weights: Weights[Tensor], walk: Walk[Tensor]) -> tuple[Tensor, Weights[Tensor]]:
    """The normalised input part u [T, B, G·H] of the gates, which the engine reads in place of x; the other weights."""
    gain = weights.g_ih
    assert gain is not None
    if walk.lengths is not None:  # padding may hold anything, even NaN
        x = x.masked_fill((torch.arange(len(x))[:, None] >= walk.lengths)[:, :, None], 0)
    u = layer_norm(linear(x, weights.w_ih), gain.shape, gain, weights.b_ih, EPSILON)
    return u, dataclasses.replace(weights, w_ih=None, b_ih=None, g_ih=None)  # type: ignore[arg-type]


def _needs_gradient(x: Tensor, state: State, weights: Weights[Tensor]) -> bool:
    return torch.is_grad_enabled() and (
        x.requires_grad
        or any(one.requires_grad for one in state)
        or any(one is not None and one.requires_grad for one in engine.every(weights))
    )


def _nested() -> bool:
    """Whether ``torch.func`` differentiates what it differentiates."""
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is None:
        return False
    levels = [one.key() for one in torch._C._functorch.get_interpreter_stack() or ()]
    return levels.count(torch._C._functorch.TransformType.Grad) > 1


def watched(x: Tensor) -> bool:
    """Whether somebody watches or transforms what is called, so that it must be an operator that PyTorch knows."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._get_tracing_state() is not None
        or (type(x) is not Tensor and type(x) is not torch.nn.Parameter)
    )
