"""The weights' gradients of many single steps, made together when the last of them is done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seriatim.kernels import native

if TYPE_CHECKING:
    from seriatim.ops.eager_cells import HeldToTrain

_this_pass = torch._C._current_graph_task_id


class Pass:
    """What one pass backward has brought so far of the weights' gradients, if they are wanted.

    Raises ``RuntimeError``, as it begins and as it ends, if the weights have been changed since the steps forward.
    """

    def __init__(self, held: HeldToTrain, wanted: bool) -> None:
        held.refuse_changes()
        self._held = held
        self._made = [
            torch.empty_like(one) if wanted and trained else None
            for one, trained in zip(held.weights, held.trained, strict=True)
        ]
        addresses = [0 if one is None else one.data_ptr() for one in self._made]
        self._steps = native.engine().StepsBack(held.back, addresses + held.absent, torch.get_num_threads())
        self._alive: list[tuple[Tensor, Tensor]] = []
        self._any = False
        self._graphs: list[Tensor | None] = [None for _ in addresses]

    def step(self, x: Tensor, h: Tensor, *addresses: int) -> None:
        """One step back, of x [B, I] and the state before, h [B, H]; the rest is as for the engine's ``StepsBack``."""
        if self._steps.step(len(h), x.data_ptr(), h.data_ptr(), *addresses):
            self._alive.clear()
        self._alive.append((x, h))
        self._any = True

    def add_graph(self, grads: Sequence[Tensor | None]) -> None:
        """The gradients of one step, which have a graph."""
        self._graphs = list(map(_sum, self._graphs, grads))

    def total(self) -> list[Tensor | None]:
        """The gradients of w_ih, w_hh, b_ih and b_hh."""
        self._held.refuse_changes()
        if not self._any:
            return self._graphs
        self._steps.finish()
        return list(map(_sum, self._made, self._graphs))


class Sums:
    """The sums for one set of weights; passes backward that run side by side have their own."""

    def __init__(self, trained: tuple[bool, ...]) -> None:
        self._trained = trained
        self._passes: dict[int, Pass] = {}

    def of_this_pass(self, held: HeldToTrain) -> Pass | None:
        """Those of the pass backward that is under way; None if it does not come to the weights' token."""
        task = _this_pass()
        found = self._passes.get(task)
        if found is None and held.token is not None:
            node: Any = held.token.grad_fn
            if torch._C._will_engine_execute_node(node):
                found = self._passes[task] = Pass(held, True)
        return found

    def take(self) -> list[Tensor | None]:
        """What this pass came to."""
        found = self._passes.pop(_this_pass(), None)
        return [None for _ in self._trained] if found is None else found.total()


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return other if one is None else one if other is None else one + other


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
