"""Real-time recurrent learning (RTRL): the gradient forward in time, without a history (Williams & Zipser 1989).

    J_t = ∂s_t/∂s_{t-1} [S, S]      I_t = ∂s_t/∂θ at fixed s_{t-1} [S, N]
    P_t = J_t P_{t-1} + I_t         the influence ds_t/dθ, carried with the state of each row           (1)
    dL_t/dθ = ∂L_t/∂θ + ∂L_t/∂s_{t-1} · P_{t-1}                                                       (2)

At fixed weights the sum of (2) over the steps is the gradient of BPTT, however the stream is cut into batches. If the
weights change meanwhile, P mixes the derivatives at all weights so far.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor
from torch.func import vmap

from seriatim.errors import UsageError
from seriatim.learning.diagonal_rtrl import DiagonalInfluence
from seriatim.learning.forward_mode import ForwardModeLearner, Influence, InfluenceRule
from seriatim.learning.step_function import Data, ModelWeights, StepFunction
from seriatim.learning.unit_weights import is_diagonal
from seriatim.models.contract import StreamModel

COPIES = 3
"""Copies of the influence that exist during a step."""


@final
class RTRL(ForwardModeLearner):
    """RTRL, exact for every cell and stack. It needs B·S·N numbers, and S²·N products per row and step.

    For a single layer with a diagonal recurrence (``models.contract.Unitwise``) the same gradient costs O(N). Raises
    ``UsageError`` if the influence needs more than ``memory`` bytes.
    """

    name = "rtrl"
    influence_parts = 2

    def __init__(self, memory: float, *, k1: int = 1) -> None:
        super().__init__(k1=k1)
        self.memory = memory

    def rule(self, model: StreamModel[Any], step: StepFunction) -> InfluenceRule:
        rule = DiagonalInfluence(model, step) if is_diagonal(model, step) else DenseInfluence(step)
        needed = COPIES * step.rows * rule.numbers_per_row * step.template.itemsize
        if needed > self.memory:
            raise UsageError(
                f"learner: rtrl needs {needed / 1e9:.3g} GB for the influence of {len(step.template):,} weights on "
                f"{step.size:,} numbers of state in {step.rows} rows, more than --memory ({self.memory / 1e9:.3g} GB); "
                "take a smaller --hidden or --batch-size, or snap1 or uoro"
            )
        return rule


@final
class DenseInfluence(InfluenceRule):
    """The whole influence P, [B, S, N]."""

    def __init__(self, step: StepFunction) -> None:
        self.step = step
        self.numbers_per_row = step.size * len(step.template)

    def start(self, rows: int) -> Influence:
        theta = self.step.template
        return theta.new_zeros(rows, self.step.size, len(theta)), theta.new_zeros(rows, 0)

    def row(self, weights: ModelWeights, data: Data, s: Tensor, *influence: Tensor) -> tuple[Tensor, ...]:
        p, unused = influence
        loss, s_next, pullback = self.step.run_with_pullback(weights, data, s)
        zero, unit_grad = torch.zeros_like(loss), torch.ones_like(loss)
        theta, readout, of_s = pullback((unit_grad, torch.zeros_like(s_next)))
        immediate, _, jacobian = vmap(lambda unit: pullback((zero, unit)))(torch.eye(len(s_next), dtype=s_next.dtype))
        if not len(s):
            return loss, s_next, theta, readout, immediate, unused
        theta = theta + of_s @ p  # (2)
        return loss, s_next, theta, readout, torch.addmm(immediate, jacobian, p), unused  # (1)
