"""SnAp-1: RTRL that keeps only the influence of each weight on its own unit (Menick 2020)."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.learning.forward_mode import ForwardModeLearner, Influence, InfluenceRule
from seriatim.learning.step_function import Data, ModelWeights, StepFunction, vjp
from seriatim.learning.unit_weights import UnitWeights, is_diagonal
from seriatim.models.contract import StreamModel


@final
class SnAp1(ForwardModeLearner):
    """SnAp-1, with R·N numbers per row. It is exact for one layer with a diagonal recurrence.

    Weights that belong to no unit of a layer learn from their effect within a step. These are an embedding and, for a
    layer, the layers below it. D (``unit_weights.py``) takes S backward passes through one step, or R for a diagonal
    recurrence.
    """

    name = "snap1"
    influence_parts = 1

    def rule(self, model: StreamModel[Any], step: StepFunction) -> InfluenceRule:
        return UnitInfluence(model, step)


@final
class UnitInfluence(InfluenceRule):
    """The influence p [B, R, N'] of weights on their own units."""

    def __init__(self, model: StreamModel[Any], step: StepFunction) -> None:
        self.step, self.units = step, UnitWeights("snap1", model, step)
        self.is_diagonal = is_diagonal(model, step)

    def start(self, rows: int) -> Influence:
        return (self.step.template.new_zeros(rows, self.units.parts, len(self.units.owned)),)

    def row(self, weights: ModelWeights, data: Data, s: Tensor, *influence: Tensor) -> tuple[Tensor, ...]:
        (p,) = influence
        units = self.units
        loss, s_next, pullback = self.step.run_with_pullback(weights, data, s)
        theta, readout, of_s = pullback((torch.ones_like(loss), torch.zeros_like(s_next)))
        immediate, sums = units.immediate(pullback, loss)
        if not len(s):
            return loss, s_next, theta, readout, immediate
        blocks = units.diagonal_blocks(sums) if self.is_diagonal else self._blocks(weights, data, s)
        theta = theta.index_add(0, units.owned, units.gradient(of_s, p))
        return loss, s_next, theta, readout, units.advance(blocks, p) + immediate

    def _blocks(self, weights: ModelWeights, data: Data, s: Tensor) -> Tensor:
        """Return D [R, R, U], from the whole Jacobian."""
        run = self.step.row_function(weights.constants, data)
        _, pullback = vjp(lambda state: run(weights.theta, weights.readout, state)[1], s)
        units, indices = self.units, self.units.recurrent_indices
        jacobian: Tensor = vmap(pullback)(torch.eye(len(s), dtype=s.dtype)[indices])[0][:, indices]
        return jacobian.view(units.parts, -1, units.parts, units.count).diagonal(dim1=1, dim2=3)
