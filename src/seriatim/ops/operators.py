"""The native engine as operators of ``torch.library``: what PyTorch's compilers, exporters and transforms see.

``seriatim::recurrence`` and ``seriatim::recurrence_backward`` are one layer in one direction. Each has a kernel for the
CPU, shapes for fake tensors, a derivative (the second's is made of plain operations), and a rule for ``vmap``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seriatim.notation import GATES
from seriatim.ops import engine
from seriatim.ops.double_backward import derivative
from seriatim.ops.engine import ARGUMENTS, DIFFERENTIABLE, Flat, Plan, State
from seriatim.spec import CellSpec

REQUIRED = {"x", "h", "w_hh"}
TENSORS = ", ".join(f"Tensor{'' if name in REQUIRED else '?'} {name}" for name in ARGUMENTS)
ATTRIBUTES = "str kind, str activation, bool reset_after, bool given, bool reverse, bool halves"
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

# Axes of B in each argument, for vmap. Weights have none.
ROWS = {"x": 1, "h": 0, "c": 0, "lengths": 0, "reset": 1, "dropout": 0, "zoneout_h": 1, "zoneout_c": 1}


def by_operator(plan: Plan, arguments: Flat, *, shown: bool) -> tuple[Tensor, State, Tensor | None, Tensor | None]:
    """Output, final state, slots and cells, the last two where shown."""
    keep = shown or torch.is_grad_enabled()
    output, h, c, slots, cells = _recurrence(*arguments, *_attributes(plan), keep)
    final = (h, c) if plan.carries else (h,)
    return output, final, slots if shown else None, cells if shown and plan.carries else None


def _attributes(plan: Plan) -> tuple[str, str, bool, bool, bool, bool]:
    return plan.spec.kind, plan.spec.activation, plan.spec.reset_after, plan.given, plan.reverse, plan.halves


def _plan(
    arguments: Flat, kind: str, activation: str, reset_after: bool, given: bool, reverse: bool, halves: bool
) -> Plan:
    """The plan that shapes and attributes tell."""
    of = dict(zip(ARGUMENTS, arguments, strict=True))
    x, w_hh, w_hr = of["x"], of["w_hh"], of["w_hr"]
    assert x is not None and w_hh is not None
    spec = CellSpec(
        kind, 1 if given else int(x.shape[-1]), int(w_hh.shape[0]) // len(GATES[kind]), activation,
        bias=of["b_hh"] is not None, proj_size=0 if w_hr is None else int(w_hr.shape[0]), reset_after=reset_after,
        peephole=of["w_ch"] is not None, layer_norm=of["g_hh"] is not None,
    )  # fmt: skip
    return Plan(spec, given, reverse, halves)


def _forward(*everything: Any) -> tuple[Tensor, ...]:
    arguments, (*attributes, keep) = everything[: len(ARGUMENTS)], everything[len(ARGUMENTS) :]
    plan = _plan(arguments, *attributes)
    x, state, weights, walk = engine.parts(plan, arguments)
    threads = torch.get_num_threads()
    packing = engine.pack(plan.cell, engine.every(weights), threads)
    output, final, slots, cells = engine.forward(plan, packing, x, state, walk, threads, "shown" if keep else "nothing")
    nothing = [torch.empty(0, dtype=x.dtype) for _ in range(3)]
    return (
        output,
        final[0],
        final[1] if len(final) == 2 else nothing[0],
        nothing[1] if slots is None else slots,
        nothing[2] if cells is None else cells,
    )


def _forward_fake(*everything: Any) -> tuple[Tensor, ...]:
    arguments, (*attributes, keep) = everything[: len(ARGUMENTS)], everything[len(ARGUMENTS) :]
    plan = _plan(arguments, *attributes)
    x, state, _, _ = engine.parts(plan, arguments)
    spec, (steps, rows) = plan.spec, x.shape[:2]
    both = len(state) == 2
    return (
        x.new_empty((steps, rows, spec.output_size)),
        x.new_empty(state[0].shape),
        x.new_empty(state[1].shape if both else 0),
        x.new_empty((steps, rows, plan.cell.slots, spec.hidden_size) if keep else 0),
        x.new_empty((steps, rows, state[1].shape[1]) if keep and both else 0),
    )


def _taken_apart(everything: Sequence[Any]) -> tuple[Flat, tuple[Tensor, Tensor, Tensor], list[bool], Flat, Plan]:
    """Of ``recurrence_backward``: gradients, what forward made, what is wanted, arguments of forward, plan."""
    grads, made, wanted, rest = everything[:4], everything[4:7], everything[7], everything[8:]
    arguments = rest[: len(ARGUMENTS)]
    return grads, (made[0], made[1], made[2]), wanted, arguments, _plan(arguments, *rest[len(ARGUMENTS) :])


def _backward(*everything: Any) -> list[Tensor]:
    grads, (output, slots, cells), wanted, arguments, plan = _taken_apart(everything)
    made = (output, slots, cells if plan.carries else None)
    found = engine.backward(plan, arguments, made, grads, wanted, torch.get_num_threads())
    return [one for one in found if one is not None]


def _backward_fake(*everything: Any) -> list[Tensor]:
    _, _, wanted, arguments, _ = _taken_apart(everything)
    return [one.new_empty(one.shape) for one, want in zip(arguments, wanted, strict=False) if want and one is not None]


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    made, _, _, slots, cells = output
    ctx.attributes = inputs[len(ARGUMENTS) : -1]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(slots)
    ctx.save_for_backward(*inputs[: len(ARGUMENTS)], made, slots, cells)


def _derived(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    *arguments, made, slots, cells = ctx.saved_tensors
    of_output, of_h, of_c, _, of_cells = grads
    wanted = [bool(need) for need in ctx.needs_input_grad[: len(DIFFERENTIABLE)]]
    both = arguments[2] is not None
    found = iter(
        _recurrence_backward(
            of_output, of_h, of_c if both else None, of_cells if both else None, made, slots, cells, wanted, *arguments,
            *ctx.attributes,
        )
    )  # fmt: skip
    result = [next(found) if want and one is not None else None for one, want in zip(arguments, wanted, strict=False)]
    return *result, *(None for _ in range(len(ARGUMENTS) - len(DIFFERENTIABLE) + len(ctx.attributes) + 1))


def _save_backward(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.wanted = inputs[7]
    ctx.attributes = inputs[8 + len(ARGUMENTS) :]
    ctx.save_for_backward(*inputs[:4], *inputs[8 : 8 + len(ARGUMENTS)])


def _derived_backward(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The derivative of the gradient: plain operations, differentiated."""
    saved = ctx.saved_tensors
    plan = _plan(saved[4:], *ctx.attributes)
    needs = (*ctx.needs_input_grad[:4], *ctx.needs_input_grad[8 : 8 + len(ARGUMENTS)])
    further = torch.is_grad_enabled()
    with torch.enable_grad():
        asked = [
            one.view_as(one) if need and further else one.detach().requires_grad_() if need else one
            for one, need in zip(saved, needs, strict=True)
        ]
        first = derivative(plan, asked[4:], ctx.wanted, asked[:4])
        pairs = [
            (of, grad) for of, grad in zip([one for one in first if one is not None], grads, strict=True)
            if grad is not None and of.requires_grad
        ]  # fmt: skip
        sources = [one for one, need in zip(asked, needs, strict=True) if need]
        found = iter(
            torch.autograd.grad(
                [of for of, _ in pairs], sources, [grad for _, grad in pairs], create_graph=further, allow_unused=True
            )
            if pairs
            else [None for _ in sources]
        )
    result = [next(found) if need else None for need in needs]
    return *result[:4], None, None, None, None, *result[4:], *(None for _ in ctx.attributes)


def _vmapped(info: Any, in_dims: Sequence[Any], *everything: Any) -> tuple[Sequence[Tensor], Sequence[int]]:
    """Over inputs alone, fold the new axis into B; over weights too, loop."""
    count = len(ARGUMENTS)
    named = dict(zip(ARGUMENTS, zip(everything, in_dims, strict=True), strict=False))
    if any(named[name][1] is not None for name in ARGUMENTS if name not in ROWS):
        return _looped(_recurrence, info, in_dims, everything)
    size, rows = info.batch_size, _rows(*named["x"])
    folded = [_folded(one, dim, ROWS.get(name), size, rows) for name, (one, dim) in named.items()]
    made = _recurrence(*folded, *everything[count:])
    axes = (1, 0, 0, 1, 1)
    # What is absent is empty and has one axis.
    split = [
        one.expand(size, 0) if one.dim() == 1 else one.unflatten(axis, (size, rows))  # type: ignore[no-untyped-call]
        for one, axis in zip(made, axes, strict=True)
    ]
    return tuple(split), tuple(0 if one.dim() == 2 else axis for one, axis in zip(split, axes, strict=True))


def _rows(x: Tensor, dim: int | None) -> int:
    """B of one sample."""
    return x.shape[1] if dim is None else x.select(dim, 0).shape[1]


def _folded(one: Tensor | None, dim: int | None, axis: int | None, size: int, rows: int) -> Tensor | None:
    """All samples side by side along their axis B. A weight, which has none, stays as it is."""
    if one is None or axis is None:
        return one
    each = one.unsqueeze(axis) if dim is None else one.movedim(dim, axis)
    shape = [*each.shape]
    shape[axis : axis + 2] = [size, rows]
    return each.expand(shape).flatten(axis, axis + 1)


def _vmapped_backward(info: Any, in_dims: Sequence[Any], *everything: Any) -> tuple[Sequence[Tensor], Sequence[int]]:
    """One gradient of the weights for each sample, so a loop."""
    return _looped(_recurrence_backward, info, in_dims, everything)


def _looped(
    function: Callable[..., Sequence[Tensor]], info: Any, in_dims: Sequence[Any], everything: Sequence[Any]
) -> tuple[Sequence[Tensor], Sequence[int]]:
    pairs = list(zip(everything, in_dims, strict=True))
    made = [
        function(*(one.select(dim, k) if isinstance(dim, int) else one for one, dim in pairs))
        for k in range(info.batch_size)
    ]
    stacked = [torch.stack(each) for each in zip(*made, strict=True)]
    axes = [0 for _ in stacked]
    return (tuple(stacked), tuple(axes)) if isinstance(made[0], tuple) else (stacked, axes)


class _Forward(torch.autograd.Function):
    """What ``torch.func`` asks for in place of an operator with a derivative."""

    setup_context = staticmethod(_save)
    backward = staticmethod(_derived)
    vmap = staticmethod(_vmapped)

    @staticmethod
    def forward(*everything: Any) -> tuple[Tensor, ...]:
        return tuple(torch.ops.seriatim.recurrence(*everything))


class _Backward(torch.autograd.Function):
    """The same for the operator's gradient."""

    setup_context = staticmethod(_save_backward)
    backward = staticmethod(lambda ctx, *grads: _derived_backward(ctx, grads))
    vmap = staticmethod(_vmapped_backward)

    @staticmethod
    def forward(*everything: Any) -> tuple[Tensor, ...]:
        return tuple(torch.ops.seriatim.recurrence_backward(*everything))


def _recurrence(*everything: Any) -> Sequence[Tensor]:
    call: Any = _Forward.apply if _transformed() else torch.ops.seriatim.recurrence
    made: Sequence[Tensor] = call(*everything)
    return made


def _recurrence_backward(*everything: Any) -> Sequence[Tensor]:
    call: Any = _Backward.apply if _transformed() else torch.ops.seriatim.recurrence_backward
    made: Sequence[Tensor] = call(*everything)
    return made


def _transformed() -> bool:
    """Whether ``torch.func`` is at work, outside of what is compiled."""
    return not torch.compiler.is_compiling() and torch._C._functorch.peek_interpreter_stack() is not None


for name, kernel in (("recurrence", _forward), ("recurrence_backward", _backward)):
    _library.impl(name, kernel, "CPU")  # type: ignore[no-untyped-call]
torch.library.register_fake(FORWARD, _forward_fake, lib=_library)
torch.library.register_fake(BACKWARD, _backward_fake, lib=_library)
torch.library.register_autograd(FORWARD, _derived, setup_context=_save, lib=_library)
torch.library.register_autograd(BACKWARD, _derived_backward, setup_context=_save_backward, lib=_library)
torch.library.register_vmap(FORWARD, _vmapped, lib=_library)
torch.library.register_vmap(BACKWARD, _vmapped_backward, lib=_library)
