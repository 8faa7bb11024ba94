"""The backward of layers and steps in plain PyTorch operations, for gradients of gradients and batched gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from seriatim.kernels.state_layout import from_engine, to_engine, zoneout_from_engine
from seriatim.ops import composed
from seriatim.ops.arguments import ARGUMENTS, DIFFERENTIABLE, Flat, Plan, unpack_arguments


def differentiable_backward(
    plan: Plan, reverse: bool, arguments: Flat, needs: Sequence[bool], grads: Flat, sizes: Sequence[int] = ()
) -> list[Tensor | None]:
    """The gradients of ``DIFFERENTIABLE`` as a graph of the arguments and of ``grads``, None where ``needs`` is False.

    The layer runs again in composed steps, and autograd differentiates them. ``arguments`` are in the order of
    ``arguments.ARGUMENTS``; masks may be missing. x is [T, B, I], or [N, I] of packed rows with the ``sizes`` of their
    steps, or [B, I] of a single step; the states are [B, ·] or [1, B, ·]. ``grads`` are the gradients of output, h_n,
    c_n and cells; None is zero.
    """
    arguments = [*arguments, *(None,) * (len(ARGUMENTS) - len(arguments))]
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        # A tensor that is passed twice needs a gradient for each place, so each place gets an alias.
        aliases = [
            tensor.view_as(tensor) if tensor is not None and need else tensor
            for tensor, need in zip(arguments, (*needs, *(False,) * (len(arguments) - len(needs))), strict=True)
        ]
        outputs = _run(plan, reverse, aliases, sizes, grads[3] is not None)
        pairs = [
            (output, grad)
            for output, grad in zip(outputs, grads, strict=True)
            if output is not None and grad is not None
        ]
        sources = [alias for alias, need in zip(aliases, needs, strict=False) if need and alias is not None]
        if pairs and sources:
            results = iter(
                torch.autograd.grad(
                    [output for output, _ in pairs], sources, [grad for _, grad in pairs], create_graph=True,
                    materialize_grads=True,
                )
            )  # fmt: skip
        else:
            results = iter([torch.zeros_like(source) for source in sources])
    return [
        next(results) if need and tensor is not None else None
        for tensor, need in zip(arguments[: len(DIFFERENTIABLE)], needs, strict=True)
    ]


def _run(
    plan: Plan, reverse: bool, arguments: Flat, sizes: Sequence[int], with_cells: bool
) -> tuple[Tensor | None, ...]:
    """Output, h_n, c_n and cells by composed steps, with the axes of the arguments."""
    x, state, weights, walk = unpack_arguments(arguments, reverse)
    spec = plan.spec
    has_layer_axis = state[0].dim() == 3
    if has_layer_axis:
        state = tuple(part.squeeze(0) for part in state)
    lengths = None
    if sizes:
        x, lengths = pad_packed_sequence(PackedSequence(x, torch.tensor(sizes)))
        walk = replace(walk, lengths=lengths)
    elif x.dim() == 2:
        x = x.unsqueeze(0)
    state = from_engine(spec, state)
    walk = replace(walk, zoneout=zoneout_from_engine(spec, walk.zoneout))
    if plan.input_projected:  # a product with the identity
        weights = replace(weights, w_ih=torch.eye(x.shape[-1], dtype=x.dtype), b_ih=None, g_ih=None)
    cells = None
    if with_cells:
        output, final, inner = composed.run_with_states(spec, x, state, weights, walk)
        cells = torch.cat([inner[name] for name in spec.states[1:]], dim=-1)
    else:
        output, final = composed.run(spec, x, state, weights, walk)
    final = to_engine(torch, final)
    if has_layer_axis:
        final = tuple(part.unsqueeze(0) for part in final)
    if lengths is not None:
        output = pack_padded_sequence(output, lengths).data
    return output, final[0], final[1] if len(final) == 2 else None, cells
