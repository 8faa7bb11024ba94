"""The native engine as operators of ``torch.library``, for PyTorch's compilers, exporters and transforms.

``seriatim::recurrence`` and ``seriatim::recurrence_backward`` run one layer in one direction. Each has a kernel for the
CPU, shapes for fake tensors, a derivative, and a rule for ``vmap``. The derivative of the second consists of plain
operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from seriatim.notation import GATES
from seriatim.ops import engine
from seriatim.ops.arguments import (
    ARGUMENTS,
    DIFFERENTIABLE,
    WEIGHTS,
    Flat,
    Plan,
    State,
    dense,
    dense_rows,
    unpack_arguments,
)
from seriatim.ops.double_backward import differentiable_backward
from seriatim.ops.eager import has_batched, is_recorded, is_transformed
from seriatim.ops.engine import Save
from seriatim.ops.packed_weights import PackedWeights
from seriatim.spec import CellSpec

DenseArguments: TypeAlias = tuple[Tensor, Tensor, "Tensor | None", "list[Tensor | None]"]
"""x, h, c and the weights."""

REQUIRED = {"x", "h", "w_hh"}
TENSORS = ", ".join(f"Tensor{'' if name in REQUIRED else '?'} {name}" for name in ARGUMENTS)
ATTRIBUTES = "str kind, str activation, bool reset_after, bool given, bool reverse, bool halves"
"""``given`` is ``Plan.input_projected`` and ``halves`` is ``Plan.bf16``. Saved ``torch.export`` programs contain these
names, so they cannot change."""
GRADIENTS = "Tensor? grad_output, Tensor? grad_h, Tensor? grad_c, Tensor? grad_cells"

_library = torch.library.Library("seriatim", "DEF")  # type: ignore[no-untyped-call]
for _schema in (
    f"recurrence({TENSORS}, {ATTRIBUTES}, bool keep)"
    " -> (Tensor output, Tensor h_n, Tensor c_n, Tensor slots, Tensor cells)",
    f"recurrence_backward({GRADIENTS}, Tensor output, Tensor slots, Tensor cells, bool[] wanted, {TENSORS},"
    f" {ATTRIBUTES}) -> Tensor[]",
):
    _library.define(_schema)  # type: ignore[no-untyped-call]
FORWARD, BACKWARD = "seriatim::recurrence", "seriatim::recurrence_backward"

ROW_AXES = {"x": 1, "h": 0, "c": 0, "lengths": 0, "reset": 1, "dropout": 0, "zoneout_h": 1, "zoneout_c": 1}
"""The axis B of each argument, for ``vmap``. Weights have none."""


def run_operator(
    plan: Plan, reverse: bool, arguments: Flat, *, returns_states: bool
) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """Output, final state, and with ``returns_states`` slots and cells."""
    # A traced or exported graph runs with and without gradients, so it saves nothing, and backward recomputes.
    saves = returns_states or (torch.is_grad_enabled() and not is_recorded())
    output, h, c, slots, cells = _recurrence(*arguments, *_attributes(plan, reverse), saves)
    has_c = arguments[2] is not None
    final = (h, c) if has_c else (h,)
    return output, final, slots if returns_states else None, cells if returns_states and has_c else None


def _attributes(plan: Plan, reverse: bool) -> tuple[str, str, bool, bool, bool, bool]:
    return plan.spec.kind, plan.spec.activation, plan.spec.reset_after, plan.input_projected, reverse, plan.bf16


def _plan_of(
    arguments: Flat, kind: str, activation: str, reset_after: bool, input_projected: bool, reverse: bool, bf16: bool
) -> tuple[Plan, bool]:
    """The plan and the direction that shapes and attributes imply."""
    named = dict(zip(ARGUMENTS, arguments, strict=True))
    x, w_hh, w_hr = named["x"], named["w_hh"], named["w_hr"]
    assert x is not None and w_hh is not None
    spec = CellSpec(
        kind, 1 if input_projected else int(x.shape[-1]), int(w_hh.shape[0]) // len(GATES[kind]), activation,
        bias=named["b_hh"] is not None, proj_size=0 if w_hr is None else int(w_hr.shape[0]), reset_after=reset_after,
        peephole=named["w_ch"] is not None, layer_norm=named["g_hh"] is not None,
    )  # fmt: skip
    return Plan(spec, input_projected, bf16), reverse


def _dense_arguments(arguments: Flat) -> tuple[DenseArguments, Flat]:
    """x, h, c and the weights as the engine reads them, and the masks, or nothing where there are none."""
    x, h, c, *weights = arguments[: len(DIFFERENTIABLE)]
    masks = arguments[len(DIFFERENTIABLE) :]
    assert x is not None and h is not None
    tensors = (dense_rows(x), dense(h), None if c is None else dense(c))
    has_masks = any(mask is not None for mask in masks)
    while weights[-1] is None:
        del weights[-1]
    return (*tensors, [None if weight is None else dense(weight) for weight in weights]), masks if has_masks else ()


def _forward(*values: Any) -> tuple[Tensor, ...]:
    arguments, (*attributes, saves) = values[: len(ARGUMENTS)], values[len(ARGUMENTS) :]
    plan, reverse = _plan_of(arguments, *attributes)
    (x, h, c, weights), masks = _dense_arguments(arguments)
    packed = PackedWeights(plan, plan.cell, weights)
    engine.check(packed, x, h, c)
    save = Save.RETURNED if saves else Save.NOTHING
    outcome = engine.forward(packed, reverse, (), save, x, h, c, masks)
    return tuple([torch.empty(0, dtype=x.dtype) if tensor is None else tensor for tensor in outcome])


def _forward_fake(*values: Any) -> tuple[Tensor, ...]:
    arguments, (*attributes, saves) = values[: len(ARGUMENTS)], values[len(ARGUMENTS) :]
    plan, reverse = _plan_of(arguments, *attributes)
    x, state, _, _ = unpack_arguments(arguments, reverse)
    spec, (steps, rows) = plan.spec, x.shape[:2]
    has_c = len(state) == 2
    return (
        x.new_empty((steps, rows, spec.output_size)),
        x.new_empty(state[0].shape),
        x.new_empty(state[1].shape if has_c else 0),
        x.new_empty((steps, rows, plan.cell.slots, spec.hidden_size) if saves else 0),
        x.new_empty((steps, rows, state[1].shape[1]) if saves and has_c else 0),
    )


def _backward_parts(values: Sequence[Any]) -> tuple[Flat, tuple[Tensor, Tensor, Tensor], list[bool], Flat, Plan, bool]:
    """The arguments of ``recurrence_backward``: gradients, saved tensors, needs, forward arguments, plan, direction."""
    grads, saved, needs, rest = values[:4], values[4:7], values[7], values[8:]
    arguments = rest[: len(ARGUMENTS)]
    return grads, (saved[0], saved[1], saved[2]), needs, arguments, *_plan_of(arguments, *rest[len(ARGUMENTS) :])


def _backward(*values: Any) -> list[Tensor]:
    grads, (output, slots, cells), needs, arguments, plan, reverse = _backward_parts(values)
    (x, h, c, weights), masks = _dense_arguments(arguments)
    packed = PackedWeights(plan, plan.cell, weights)
    if not slots.numel():  # the forward call has saved nothing
        _, _, _, new_slots, new_cells = engine.forward(packed, reverse, (), Save.RETURNED, x, h, c, masks)
        slots = slots if new_slots is None else new_slots
        cells = cells if new_cells is None else new_cells
    saved = [dense(output), dense(slots), dense(cells) if plan.has_c else None, x, h, c, *weights, *masks]
    results = engine.backward(packed, reverse, (), saved, (grads[0], grads[1], grads[2], grads[3]), needs)
    return [grad for grad in results if grad is not None]


def _backward_fake(*values: Any) -> list[Tensor]:
    _, _, needs, arguments, _, _ = _backward_parts(values)
    return [
        tensor.new_empty(tensor.shape)
        for tensor, need in zip(arguments, needs, strict=False)
        if need and tensor is not None
    ]


def _save_forward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    layer_output, _, _, slots, cells = output
    ctx.attributes = inputs[len(ARGUMENTS) : -1]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(slots)
    ctx.save_for_backward(*inputs[: len(ARGUMENTS)], layer_output, slots, cells)


def _differentiate_forward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    *arguments, output, slots, cells = ctx.saved_tensors
    grad_output, grad_h, grad_c, _, grad_cells = grads
    needs = [bool(need) for need in ctx.needs_input_grad[: len(DIFFERENTIABLE)]]
    has_c = arguments[2] is not None
    used_grads = (grad_output, grad_h, grad_c if has_c else None, grad_cells if has_c else None)
    if has_batched(used_grads):
        plan, reverse = _plan_of(arguments, *ctx.attributes)
        composed_grads = differentiable_backward(plan, reverse, arguments, needs, used_grads)
        return *composed_grads, *(None,) * (len(ARGUMENTS) - len(DIFFERENTIABLE) + len(ctx.attributes) + 1)
    results = iter(_recurrence_backward(*used_grads, output, slots, cells, needs, *arguments, *ctx.attributes))
    input_grads = [
        next(results) if need and tensor is not None else None for tensor, need in zip(arguments, needs, strict=False)
    ]
    return *input_grads, *(None,) * (len(ARGUMENTS) - len(DIFFERENTIABLE) + len(ctx.attributes) + 1)


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.needs = inputs[7]
    ctx.attributes = inputs[8 + len(ARGUMENTS) :]
    ctx.save_for_backward(*inputs[:4], *inputs[8 : 8 + len(ARGUMENTS)])


def _differentiate_backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The derivative of the gradient: plain operations, differentiated by autograd."""
    saved = ctx.saved_tensors
    plan, reverse = _plan_of(saved[4:], *ctx.attributes)
    needs = (*ctx.needs_input_grad[:4], *ctx.needs_input_grad[8 : 8 + len(ARGUMENTS)])
    creates_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        aliases = [
            tensor.view_as(tensor) if need and creates_graph
            else tensor.detach().requires_grad_() if need
            else tensor
            for tensor, need in zip(saved, needs, strict=True)
        ]  # fmt: skip
        first = differentiable_backward(plan, reverse, aliases[4:], ctx.needs, aliases[:4])
        pairs = [
            (output, grad)
            for output, grad in zip([tensor for tensor in first if tensor is not None], grads, strict=True)
            if grad is not None and output.requires_grad
        ]
        sources = [alias for alias, need in zip(aliases, needs, strict=True) if need]
        results = iter(
            torch.autograd.grad(
                [output for output, _ in pairs], sources, [grad for _, grad in pairs], create_graph=creates_graph,
                allow_unused=True,
            )
            if pairs
            else [None for _ in sources]
        )  # fmt: skip
    second = [next(results) if need else None for need in needs]
    return *second[:4], None, None, None, None, *second[4:], *(None for _ in ctx.attributes)


def _vmap_forward(info: Any, in_dims: Sequence[Any], *values: Any) -> tuple[Sequence[Tensor], Sequence[int]]:
    """Over inputs alone, fold the new axis into B. Over weights too, loop."""
    count = len(ARGUMENTS)
    named = dict(zip(ARGUMENTS, zip(values, in_dims, strict=True), strict=False))
    if any(named[name][1] is not None for name in WEIGHTS):
        return _loop(_recurrence, info, in_dims, values)
    size, rows = info.batch_size, _row_count(*named["x"])
    folded = [_folded(value, dim, ROW_AXES.get(name), size, rows) for name, (value, dim) in named.items()]
    outputs = _recurrence(*folded, *values[count:])
    axes = (1, 0, 0, 1, 1)
    # A missing output is an empty tensor with one axis.
    split = [
        output.expand(size, 0) if output.dim() == 1 else output.unflatten(axis, (size, rows))  # type: ignore[no-untyped-call]
        for output, axis in zip(outputs, axes, strict=True)
    ]
    return tuple(split), tuple(0 if output.dim() == 2 else axis for output, axis in zip(split, axes, strict=True))


def _row_count(x: Tensor, dim: int | None) -> int:
    """B of one sample."""
    return x.shape[1] if dim is None else x.select(dim, 0).shape[1]


def _folded(value: Tensor | None, dim: int | None, axis: int | None, size: int, rows: int) -> Tensor | None:
    """All samples side by side along their axis B. A weight, which has no such axis, is not changed."""
    if value is None or axis is None:
        return value
    samples = value.unsqueeze(axis) if dim is None else value.movedim(dim, axis)
    shape = [*samples.shape]
    shape[axis : axis + 2] = [size, rows]
    return samples.expand(shape).flatten(axis, axis + 1)


def _vmap_backward(info: Any, in_dims: Sequence[Any], *values: Any) -> tuple[Sequence[Tensor], Sequence[int]]:
    """Loop, because each sample has its own gradient of the weights."""
    return _loop(_recurrence_backward, info, in_dims, values)


def _loop(
    function: Callable[..., Sequence[Tensor]], info: Any, in_dims: Sequence[Any], values: Sequence[Any]
) -> tuple[Sequence[Tensor], Sequence[int]]:
    pairs = list(zip(values, in_dims, strict=True))
    results = [
        function(*(value.select(dim, index) if isinstance(dim, int) else value for value, dim in pairs))
        for index in range(info.batch_size)
    ]
    stacked = [torch.stack(parts) for parts in zip(*results, strict=True)]
    axes = [0 for _ in stacked]
    return (tuple(stacked), tuple(axes)) if isinstance(results[0], tuple) else (stacked, axes)


class _Forward(torch.autograd.Function):
    """The operator for ``torch.func``, which does not take operators with a derivative."""

    setup_context = staticmethod(_save_forward)
    backward = staticmethod(_differentiate_forward)
    vmap = staticmethod(_vmap_forward)

    @staticmethod
    def forward(*values: Any) -> tuple[Tensor, ...]:
        return tuple(torch.ops.seriatim.recurrence(*values))


class _Backward(torch.autograd.Function):
    """The operator's gradient for ``torch.func``."""

    setup_context = staticmethod(_save_backward)
    backward = staticmethod(lambda ctx, *grads: _differentiate_backward(ctx, grads))
    vmap = staticmethod(_vmap_backward)

    @staticmethod
    def forward(*values: Any) -> tuple[Tensor, ...]:
        return tuple(torch.ops.seriatim.recurrence_backward(*values))


def _recurrence(*values: Any) -> Sequence[Tensor]:
    call: Any = _Forward.apply if is_transformed() else torch.ops.seriatim.recurrence
    results: Sequence[Tensor] = call(*values)
    return results


def _recurrence_backward(*values: Any) -> Sequence[Tensor]:
    call: Any = _Backward.apply if is_transformed() else torch.ops.seriatim.recurrence_backward
    results: Sequence[Tensor] = call(*values)
    return results


for _name, _kernel in (("recurrence", _forward), ("recurrence_backward", _backward)):
    _library.impl(_name, _kernel, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake(FORWARD, _forward_fake, lib=_library)
torch.library.register_fake(BACKWARD, _backward_fake, lib=_library)
torch.library.register_autograd(FORWARD, _differentiate_forward, setup_context=_save_forward, lib=_library)
torch.library.register_autograd(BACKWARD, _differentiate_backward, setup_context=_save_backward, lib=_library)
torch.library.register_vmap(FORWARD, _vmap_forward, lib=_library)
torch.library.register_vmap(BACKWARD, _vmap_backward, lib=_library)
