"""One layer in one direction by the engine, recorded by autograd where a gradient is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.ops import engine
from seriatim.ops.arguments import (
    Flat,
    Plan,
    State,
    dense,
    dense_rows,
    mask_list,
    pack_arguments,
    present_weights,
)
from seriatim.ops.double_backward import differentiable_backward
from seriatim.ops.eager import are_exact, has_saved_tensors_hooks, needs_gradient, needs_graph
from seriatim.ops.engine import Save
from seriatim.ops.operators import run_operator
from seriatim.ops.packed_weights import PackedWeights, packed_weights

_keeps_graph = torch._C._autograd._get_current_graph_task_keep_graph


class LayerFunction(torch.autograd.Function):
    """x, h, c, the weights, and masks where there are any → output, h_n and c_n; slots and cells if ``returns_states``.

    The arguments are as for ``engine.forward``. The weights are the ones in ``packed``.
    """

    @staticmethod
    def forward(
        ctx: Any, packed: PackedWeights, reverse: bool, sizes: Sequence[int], returns_states: bool, x: Tensor,
        h: Tensor, c: Tensor | None, *rest: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        save = Save.RETURNED if returns_states else Save.FOR_BACKWARD
        output, h_n, c_n, slots, cells = engine.forward(
            packed, reverse, sizes, save, x, h, c, rest[packed.weight_count :]
        )
        ctx.packed = packed
        ctx.reverse = reverse
        ctx.sizes = sizes
        ctx.returns_states = returns_states
        ctx.has_hooks = has_saved_tensors_hooks()
        ctx.set_materialize_grads(False)
        if ctx.has_hooks:
            ctx.save_for_backward(output.clone(), slots, cells, x, h, c, *rest)
        else:  # not saved by autograd, which would refuse an output that the caller has changed
            ctx.output, ctx.output_version = output.detach(), output._version
            ctx.save_for_backward(slots, cells, x, h, c, *rest)
        final = (h_n,) if c_n is None else (h_n, c_n)
        if not returns_states:
            return output, *final
        ctx.mark_non_differentiable(slots)
        assert slots is not None
        return (output, *final, slots) if cells is None else (output, *final, slots, cells)

    @staticmethod
    def backward(ctx: Any, *all_grads: Tensor | None) -> tuple[Tensor | None, ...]:
        packed: PackedWeights = ctx.packed
        if ctx.has_hooks:  # they may return other strides
            saved = [None if tensor is None else dense(tensor) for tensor in ctx.saved_tensors]
        else:
            saved = [ctx.output, *ctx.saved_tensors]
        grad_output, grad_h_n, *others = all_grads
        grad_c_n = grad_cells = None
        if others and packed.plan.has_c:
            grad_c_n = others[0]
            grad_cells = others[-1] if ctx.returns_states else None
        grads = grad_output, grad_h_n, grad_c_n, grad_cells
        any_grad = grad_output if grad_output is not None else grad_h_n if grad_h_n is not None else grad_c_n
        any_grad = grad_cells if any_grad is None else any_grad
        needs = ctx.needs_input_grad[4:]
        if any_grad is None:
            return None, None, None, None, *(None for _ in needs)
        if needs_graph(grads):
            arguments, masks = saved[3 : 6 + packed.weight_count], saved[6 + packed.weight_count :]
            absent = (None,) * len(packed.absent)
            results = differentiable_backward(
                packed.plan,
                ctx.reverse,
                [*arguments, *absent, *masks],
                (*needs[: len(arguments)], *(False for _ in absent)),
                grads,
                ctx.sizes,
            )[: len(arguments)]
            return None, None, None, None, *results, *(None for _ in masks)
        if not ctx.has_hooks:
            if ctx.output._version != ctx.output_version:  # the caller has changed it in place
                saved[0] = _recompute(packed, ctx.reverse, ctx.sizes, saved[3:])
            if not _keeps_graph():
                ctx.output = None
        return None, None, None, None, *engine.backward(packed, ctx.reverse, ctx.sizes, saved, grads, needs)


def _recompute(packed: PackedWeights, reverse: bool, sizes: Sequence[int], arguments: Flat) -> Tensor:
    """The output of a call with these ``arguments`` once more."""
    x, h, c, *rest = arguments
    assert x is not None and h is not None
    return engine.forward(packed, reverse, sizes, Save.NOTHING, x, h, c, rest[packed.weight_count :])[0]


apply_layer: Any = super(torch.autograd.Function, LayerFunction).apply
"""``LayerFunction.apply`` without its check for transforms. The callers have checked that there are none."""


def run_layer(
    plan: Plan, x: Tensor, state: State, weights: Weights[Tensor], walk: Walk[Tensor], *, returns_states: bool = False
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """Run x [T, B, I] from ``state`` in the engine's layout → output, final state, and with ``returns_states`` slots
    and cells.

    Raises ``UsageError`` if the tensors do not fit each other.
    """
    masks = mask_list(walk)
    if not are_exact((x, *state, *present_weights(weights), *masks)):
        return run_operator(plan, walk.reverse, pack_arguments(x, state, weights, walk), returns_states=returns_states)
    x = dense_rows(x)
    h, c = [dense(part) for part in state] if len(state) == 2 else (dense(state[0]), None)
    dense_weights = [None if weight is None else weight.contiguous() for weight in present_weights(weights)]
    if all(mask is None for mask in masks):
        masks = []
    packed = packed_weights(plan, dense_weights)
    engine.check(packed, x, h, c)
    if needs_gradient((x, h, c, *dense_weights)):
        output, *rest = apply_layer(packed, walk.reverse, (), returns_states, x, h, c, *dense_weights, *masks)
        final, inner = tuple(rest[: len(state)]), rest[len(state) :]
        return output, final, inner[0] if returns_states else None, inner[1] if len(inner) > 1 else None
    save = Save.RETURNED if returns_states else Save.NOTHING
    output, h_n, c_n, slots, cells = engine.forward(packed, walk.reverse, (), save, x, h, c, masks)
    return output, (h_n,) if c_n is None else (h_n, c_n), slots, cells
