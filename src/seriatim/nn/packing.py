"""Packed data to padded rows and back: a single copy each, forward and backward, where PyTorch goes step by step."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def unpacked(packed: PackedSequence) -> tuple[Tensor, Tensor, Places]:
    """Padded rows [T, B, ·] in packed order (falling length), their lengths [B], and what is where.

    Padding holds anything: a recurrence does not read it.
    """
    sizes = packed.batch_sizes
    rows = int(sizes[0])
    there = torch.arange(rows) < sizes[:, None]
    of_data = there.flatten().nonzero().squeeze(1)
    of_padded = torch.zeros(there.numel(), dtype=torch.int64).index_copy(0, of_data, torch.arange(len(of_data)))
    device = packed.data.device
    places = Places(of_data.to(device), of_padded.to(device), rows)
    padded: Tensor = _Spread.apply(packed.data, *places)  # type: ignore[no-untyped-call]
    return padded, there.sum(0), places


def repacked(padded: Tensor, places: Places) -> Tensor:
    """The rows of [T, B, ·] that are not padding, as packed data."""
    data: Tensor = _Gather.apply(padded, *places)  # type: ignore[no-untyped-call]
    return data


class Places(NamedTuple):
    """What is where in packed data and in padded rows."""

    of_data: Tensor
    """Where each row of the packed data stands among the T·B."""
    of_padded: Tensor
    """Where each of the T·B stands in the packed data; 0 for padding."""
    rows: int
    """B."""


class _Spread(torch.autograd.Function):
    """Each is the other's derivative: padding has no gradient, and nothing else is named twice."""

    generate_vmap_rule = True

    @staticmethod
    def forward(data: Tensor, of_data: Tensor, of_padded: Tensor, rows: int) -> Tensor:
        return data.index_select(0, of_padded).view(-1, rows, data.shape[1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:3])
        ctx.rows = inputs[3]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _Gather.apply(grad, *ctx.saved_tensors, ctx.rows), None, None, None  # type: ignore[no-untyped-call]


class _Gather(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(padded: Tensor, of_data: Tensor, of_padded: Tensor, rows: int) -> Tensor:
        return padded.flatten(0, 1).index_select(0, of_data)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:3])
        ctx.rows = inputs[3]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return _Spread.apply(grad, *ctx.saved_tensors, ctx.rows), None, None, None  # type: ignore[no-untyped-call]
