"""The engine's gradient in plain PyTorch operations: what is run when the gradient is to be differentiated again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seriatim.ops import composed
from seriatim.ops.engine import DIFFERENTIABLE, Flat, Plan, parts
from seriatim.ops.state_layout import apart, joined, shares_apart


def derivative(plan: Plan, arguments: Flat, wanted: Sequence[bool], grads: Flat) -> list[Tensor | None]:
    """The gradients that are wanted of ``DIFFERENTIABLE``, as a graph of the arguments and of ``grads``.

    ``grads`` are those of output, h_n, c_n and cells, None for zero.
    """
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        # An alias each: the same tensor in two places has a gradient for each place.
        aliases = [
            one.view_as(one) if one is not None and want else one
            for one, want in zip(arguments, (*wanted, *(False for _ in arguments[len(wanted) :])), strict=True)
        ]
        pairs = [
            (of, grad) for of, grad in zip(_outputs(plan, aliases, grads[3] is not None), grads, strict=True)
            if of is not None and grad is not None
        ]  # fmt: skip
        asked = [one for one, want in zip(aliases, wanted, strict=False) if want and one is not None]
        found = iter(
            torch.autograd.grad(
                [of for of, _ in pairs], asked, [grad for _, grad in pairs], create_graph=True, materialize_grads=True
            )
            if pairs and asked
            else [torch.zeros_like(one) for one in asked]
        )
    return [
        next(found) if want and one is not None else None
        for one, want in zip(arguments[: len(DIFFERENTIABLE)], wanted, strict=True)
    ]


def _outputs(plan: Plan, arguments: Flat, with_cells: bool) -> list[Tensor | None]:
    """Output, h_n, c_n and cells."""
    x, state, weights, walk = parts(plan, arguments)
    spec = plan.spec
    state, walk = apart(spec, state), shares_apart(spec, walk)
    if plan.given:  # the input part stands for itself
        weights = replace(weights, w_ih=torch.eye(x.shape[-1], dtype=x.dtype), b_ih=None, g_ih=None)
    cells = None
    if with_cells:
        output, final, inside = composed.every(spec, x, state, weights, walk)
        cells = torch.cat([inside[name] for name in spec.states[1:]], dim=-1)
    else:
        output, final = composed.forward(spec, x, state, weights, walk)
    final = joined(final)
    return [output, final[0], final[1] if len(final) == 2 else None, cells]
