"""Exact RTRL of one layer with a diagonal recurrence, at O(N) per step (``unit_weights.py``)."""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.learning.forward_mode import Influence, InfluenceRule
from seriatim.learning.step_function import Data, ModelWeights, StepFunction, vjp
from seriatim.learning.unit_weights import UnitWeights
from seriatim.models.contract import StreamModel


@final
class DiagonalInfluence(InfluenceRule):
    """The influence [B, R, N'] of the layer's own weights, and [B, R·U, N''] of the weights before it."""

    def __init__(self, model: StreamModel[Any], step: StepFunction) -> None:
        self.step, self.units = step, UnitWeights("rtrl", model, step)
        units = self.units
        self.numbers_per_row = units.parts * len(units.owned) + len(units.recurrent_indices) * len(units.unowned)

    def start(self, rows: int) -> Influence:
        theta, units = self.step.template, self.units
        return (
            theta.new_zeros(rows, units.parts, len(units.owned)),
            theta.new_zeros(rows, len(units.recurrent_indices), len(units.unowned)),
        )

    def row(self, weights: ModelWeights, data: Data, s: Tensor, *influence: Tensor) -> tuple[Tensor, ...]:
        owned, unowned = influence
        units = self.units
        loss, s_next, pullback = self.step.run_with_pullback(weights, data, s)
        theta, readout, of_s = pullback((torch.ones_like(loss), torch.zeros_like(s_next)))
        immediate, sums = units.immediate(pullback, loss)
        immediate_unowned = self._immediate_unowned(weights, data, s)
        if not len(s):
            return loss, s_next, theta, readout, immediate, immediate_unowned
        blocks = units.diagonal_blocks(sums)
        theta = theta.index_add(0, units.owned, units.gradient(of_s, owned))
        theta = theta.index_add(0, units.unowned, of_s[units.recurrent_indices] @ unowned)
        unowned = torch.einsum("qru,ruj->quj", blocks, unowned.view(units.parts, units.count, -1)).flatten(0, 1)
        owned = units.advance(blocks, owned) + immediate
        return loss, s_next, theta, readout, owned, unowned + immediate_unowned

    def _immediate_unowned(self, weights: ModelWeights, data: Data, s: Tensor) -> Tensor:
        """Return ∂s_t/∂θ [R·U, N''] of the weights before the layer."""
        theta, unowned = weights.theta, self.units.unowned
        run = self.step.row_function(weights.constants, data)
        s_next, pullback = vjp(
            lambda part: run(theta.index_copy(0, unowned, part), weights.readout, s)[1], theta[unowned]
        )
        rows = torch.eye(len(s_next), dtype=s_next.dtype)[self.units.recurrent_indices]
        derivative: Tensor = vmap(pullback)(rows)[0]
        return derivative
