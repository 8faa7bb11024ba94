"""Influence that stays in the unit a weight belongs to: exact for a diagonal recurrence, SnAp-1 for the others.

Of the influence P [S, N] (``realtime.py``) only the numbers of a weight's own unit are kept: p [R, N] for the R parts
of the state that the next step reads (h; or h and c), and of the Jacobian the blocks D [R, R, U] that a unit has with
itself:

    p_t[q, j] = Σ_r D_t[q, r, u(j)] · p_{t-1}[r, j] + ∂s_t[q, u(j)]/∂θ_j                                (1)

As a weight reaches only its own unit in one step, the last term is one gradient of the sum over all units of a layer.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.errors import UsageError
from seriatim.learning.forward_mode import ForwardModeLearner, Influence, InfluenceRule
from seriatim.learning.step_function import Data, Pull, StepFunction, Weights, vjp
from seriatim.models.contract import StreamModel, Unitwise


@final
class Units:
    """Who owns what in the state and the weights of a model with one ``Unitwise`` module.

    Raises ``UsageError`` for a model without such a module or with several.
    """

    def __init__(self, learner: str, model: StreamModel[Any], step: StepFunction) -> None:
        found = [(name, module) for name, module in model.named_modules() if isinstance(module, Unitwise)]
        if len(found) != 1:
            raise UsageError(f"learner: {learner} wants a model with one stack of recurrent layers, got {len(found)}")
        ((prefix, module),) = found
        owners = {f"model.{prefix}.{name}": owner for name, owner in module.owners().items()}
        self.parts, self.layers = len(module.recurrent_states), step.shapes[0][0]
        """R, and L."""
        self.count = step.size // len(step.shapes)
        """U, over all layers."""
        self.read = torch.arange(step.size).view(-1, self.count)[list(module.recurrent_states)].flatten()
        """[R·U]: places in s of what the next step reads."""
        every = torch.cat([owners.get(name, torch.full(one.shape, -1)).flatten() for name, one in step.inner.items()])
        self.own = torch.nonzero(every >= 0).squeeze(1)
        """Places in θ of the weights that belong to units."""
        self.rest = torch.nonzero(every < 0).squeeze(1)
        """… and of those that come before the layers."""
        self.owner = every[self.own]
        self.layer = self.owner // (self.count // self.layers)
        blocks = torch.eye(self.parts * self.layers).repeat_interleave(self.count // self.layers, 1)
        self.blocks = step.like.new_zeros(len(blocks), step.size).index_copy(1, self.read, blocks.to(step.like.dtype))
        """[R·L, S]: ones over each part of each layer."""

    def immediate(self, pull: Pull, loss: Tensor) -> tuple[Tensor, Tensor]:
        """∂s_t[q, u(j)]/∂θ_j [R, N'] of the weights that belong to units, and the sums' gradients [R·L, S] by s."""
        theta, _, of_s = vmap(lambda sums: pull((torch.zeros_like(loss), sums)))(self.blocks)
        by_layer = theta[:, self.own].view(self.parts, self.layers, -1)
        return by_layer.gather(1, self.layer.expand(self.parts, 1, -1)).squeeze(1), of_s

    def own_blocks(self, sums: Tensor) -> Tensor:
        """D [R, R, U] of one layer in which no unit sees another, from the sums' gradients."""
        return sums[:, self.read].view(self.parts, self.parts, -1)

    def onward(self, blocks: Tensor, kept: Tensor) -> Tensor:
        """Σ_r D[q, r, u(j)] · p[r, j]."""
        return torch.einsum("qrj,rj->qj", blocks[:, :, self.owner], kept)

    def gradient(self, of_s: Tensor, kept: Tensor) -> Tensor:
        """Σ_r ∂L/∂s[r, u(j)] · p[r, j]."""
        return (of_s[self.read].view(self.parts, -1)[:, self.owner] * kept).sum(0)


def is_diagonal(model: StreamModel[Any], step: StepFunction) -> bool:
    """Tell whether all of the state is that of one layer with a diagonal recurrence."""
    found = [module for module in model.modules() if isinstance(module, Unitwise)]
    return len(found) == 1 and found[0].diagonal and step.shapes[0][0] == 1 and len({*step.shapes}) == 1


@final
class SnAp1(ForwardModeLearner):
    """SnAp-1: RTRL that keeps what a weight does to its own unit (Menick 2020). R·N numbers per row.

    Weights that belong to no unit of a layer (an embedding; for a layer those of the layers below) learn from what
    they do within a step. Finding D takes S backward passes through one step, or R for a diagonal recurrence.
    """

    name = "snap1"
    parts = 1

    def rule(self, model: StreamModel[Any], step: StepFunction) -> InfluenceRule:
        return UnitInfluence(model, step)


@final
class UnitInfluence(InfluenceRule):
    """p [B, R, N'] of the weights that belong to units."""

    def __init__(self, model: StreamModel[Any], step: StepFunction) -> None:
        self.step, self.units = step, Units("snap1", model, step)
        self.diagonal = is_diagonal(model, step)

    def start(self, rows: int) -> Influence:
        return (self.step.like.new_zeros(rows, self.units.parts, len(self.units.own)),)

    def row(self, weights: Weights, data: Data, s: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        (kept,) = memory
        units = self.units
        loss, after, pull = self.step.pulled(weights, data, s)
        theta, head, of_s = pull((torch.ones_like(loss), torch.zeros_like(after)))
        immediate, sums = units.immediate(pull, loss)
        if not len(s):
            return loss, after, theta, head, immediate
        blocks = units.own_blocks(sums) if self.diagonal else self._blocks(weights, data, s)
        theta = theta.index_add(0, units.own, units.gradient(of_s, kept))
        return loss, after, theta, head, units.onward(blocks, kept) + immediate

    def _blocks(self, weights: Weights, data: Data, s: Tensor) -> Tensor:
        """D, from the whole Jacobian."""
        run = self.step.of_row(weights.constants, data)
        _, pull = vjp(lambda state: run(weights.theta, weights.head, state)[1], s)
        units = self.units
        jacobian: Tensor = vmap(pull)(torch.eye(len(s), dtype=s.dtype)[units.read])[0][:, units.read]
        return jacobian.view(units.parts, -1, units.parts, units.count).diagonal(dim1=1, dim2=3)


@final
class DiagonalInfluence(InfluenceRule):
    """Exact RTRL of one diagonal layer: p [B, R, N'] of its own weights, and [B, R·U, N''] of those before it."""

    def __init__(self, model: StreamModel[Any], step: StepFunction) -> None:
        self.step, self.units = step, Units("rtrl", model, step)
        self.numbers = self.units.parts * len(self.units.own) + len(self.units.read) * len(self.units.rest)
        """That are remembered for each row."""

    def start(self, rows: int) -> Influence:
        theta, units = self.step.like, self.units
        return (
            theta.new_zeros(rows, units.parts, len(units.own)),
            theta.new_zeros(rows, len(units.read), len(units.rest)),
        )

    def row(self, weights: Weights, data: Data, s: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        kept, before = memory
        units = self.units
        loss, after, pull = self.step.pulled(weights, data, s)
        theta, head, of_s = pull((torch.ones_like(loss), torch.zeros_like(after)))
        immediate, sums = units.immediate(pull, loss)
        of_rest = self._of_rest(weights, data, s)
        if not len(s):
            return loss, after, theta, head, immediate, of_rest
        blocks = units.own_blocks(sums)
        theta = theta.index_add(0, units.own, units.gradient(of_s, kept))
        theta = theta.index_add(0, units.rest, of_s[units.read] @ before)
        before = torch.einsum("qru,ruj->quj", blocks, before.view(units.parts, units.count, -1)).flatten(0, 1)
        return loss, after, theta, head, units.onward(blocks, kept) + immediate, before + of_rest

    def _of_rest(self, weights: Weights, data: Data, s: Tensor) -> Tensor:
        """∂s_t/∂θ [R·U, N''] of the weights before the layer."""
        theta, rest = weights.theta, self.units.rest
        run = self.step.of_row(weights.constants, data)
        after, pull = vjp(lambda part: run(theta.index_copy(0, rest, part), weights.head, s)[1], theta[rest])
        found: Tensor = vmap(pull)(torch.eye(len(after), dtype=after.dtype)[self.units.read])[0]
        return found
