"""The weights' gradients of many single steps, made together when the last of them is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seriatim.spec import CellSpec

CHUNK = 160
"""Rows that go into one product: their gates' gradients are still in the cache."""


class Pass:
    """What one pass backward has brought so far."""

    def __init__(self, trained: tuple[bool, ...], apart: int) -> None:
        self._trained = trained
        self._apart = apart
        self._twins = not apart and trained[2:] == (True, True)  # b_ih and b_hh have the same gradient
        self._rows = 0
        self._room: Tensor | None = None
        self._reset: list[Tensor] = []
        self._x: list[Tensor] = []
        self._h: list[Tensor] = []
        self._found: list[Tensor | None] = [None for _ in trained]

    def room(self, like: Tensor, rows: int, width: int) -> int:
        """The address for the gradient of the gates [B, G·H] of the next step, as the input part sees it."""
        if self._room is not None and self._rows + rows > len(self._room):
            self._sum()
        if self._room is None or rows > len(self._room):
            self._room = like.new_empty((max(CHUNK, rows), width))
        return self._room.data_ptr() + self._rows * width * self._room.itemsize

    def add(self, x: Tensor, h: Tensor, slots: Tensor | None) -> None:
        """What else there is of the step that was written there."""
        self._x.append(x)
        self._h.append(h)
        if self._apart and slots is not None:
            self._reset.append(slots[:, 0])
        self._rows += len(x)

    def last(self, rows: int) -> Tensor:
        """The gradient that was added last."""
        assert self._room is not None
        return self._room[self._rows - rows : self._rows]

    def add_graph(self, grads: Sequence[Tensor | None]) -> None:
        """The gradients of one step, which have a graph."""
        for k, grad in enumerate(grads):
            if grad is not None:
                had = self._found[k]
                self._found[k] = grad if had is None else had + grad

    def total(self) -> list[Tensor | None]:
        """The gradients of w_ih, w_hh, b_ih and b_hh."""
        self._sum()
        if self._twins and self._found[3] is None and self._found[2] is not None:
            self._found[3] = self._found[2].clone()
        return self._found

    def _sum(self) -> None:
        if not self._x:
            return
        assert self._room is not None
        du = dv = self._room[: self._rows]
        if self._apart:  # the recurrent part of n stands behind r
            dv = du.clone()
            dv[:, 2 * self._apart :] *= torch.cat(self._reset)
        operands = [(du, self._x), (dv, self._h), (du, None), (dv, None)]
        for k, trained in enumerate(self._trained):
            if trained and not (k == 3 and self._twins):
                left, right = operands[k]
                _accumulate(self._found, k, left, None if right is None else torch.cat(right))
        self._rows = 0
        for each in (self._x, self._h, self._reset):
            each.clear()


class Sums:
    """The sums for one set of weights; passes backward that run side by side have their own."""

    def __init__(self, spec: CellSpec, trained: tuple[bool, ...]) -> None:
        self._trained = trained
        self._apart = spec.hidden_size if spec.kind == "gru" else 0
        self._passes: dict[int, Pass] = {}

    def of_this_pass(self, token: Tensor | None) -> Pass | None:
        """Those of the pass backward that is under way; None if it does not come to ``token``."""
        task = torch._C._current_graph_task_id()
        found = self._passes.get(task)
        node: Any = None if token is None else token.grad_fn
        if found is None and node is not None and torch._C._will_engine_execute_node(node):
            found = self._passes[task] = Pass(self._trained, self._apart)
        return found

    def take(self) -> list[Tensor | None]:
        """What this pass came to."""
        found = self._passes.pop(torch._C._current_graph_task_id(), None)
        return [None for _ in self._trained] if found is None else found.total()


def _accumulate(found: list[Tensor | None], k: int, du: Tensor, other: Tensor | None) -> None:
    """Add duᵀ · other, or the sum of du over its rows. Written into what is there, which no autocast changes."""
    had = found[k]
    if other is None:
        grad = du.sum(0)
        found[k] = grad if had is None else had.add_(grad)
    elif had is None:
        found[k] = torch.mm(du.t(), other, out=du.new_empty((du.shape[1], other.shape[1])))
    else:
        had.addmm_(du.t(), other)


class _Weights(torch.autograd.Function):
    """An empty tensor that depends on the weights."""

    @staticmethod
    def forward(ctx: Any, sums: Sums, *weights: Tensor) -> Tensor:
        ctx.sums = sums
        ctx.set_materialize_grads(False)
        return weights[0].new_empty(0)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, *ctx.sums.take()


def sums_of(sums: Sums, weights: Sequence[Tensor]) -> Tensor:
    """The tensor that a step takes in place of its weights."""
    apply: Any = _Weights.apply
    token: Tensor = apply(sums, *weights)
    return token
