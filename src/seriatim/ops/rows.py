"""Rows that change places: one copy forward and one back, where the derivative of a gather would add row by row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def moved(x: Tensor, places: Tensor, back: Tensor) -> Tensor:
    """The rows ``places`` of x [N, ·], where row n of x comes to ``back[n]``.

    A row may come to other places too, as padding: what they are has no gradient.
    """
    result: Tensor = _Moved.apply(x, places, back)  # type: ignore[no-untyped-call]
    return result


class _Moved(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, places: Tensor, back: Tensor) -> Tensor:
        return x.index_select(0, places)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        places, back = ctx.saved_tensors
        return moved(grad, back, places), None, None
