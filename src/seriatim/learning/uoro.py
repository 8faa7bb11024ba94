"""UORO: RTRL whose influence is a product of two vectors, which is right on average (Tallec & Ollivier 2017).

    ν_t random signs [S]
    ρ0 = √(|θ̃_{t-1}| / |J_t s̃_{t-1}|)        ρ1 = √(|ν_tᵀ I_t| / |ν_t|)                              (1)
    s̃_t = ρ0 · J_t s̃_{t-1} + ρ1 · ν_t         θ̃_t = θ̃_{t-1} / ρ0 + ν_tᵀ I_t / ρ1                     (2)
    dL_t/dθ ≈ ∂L_t/∂θ + (∂L_t/∂s_{t-1} · s̃_{t-1}) θ̃_{t-1}                                             (3)

The mean of s̃ θ̃ᵀ over ν is the influence of ``rtrl.py``, so (3) is unbiased at fixed weights. ρ only makes the variance
small. A row needs S + N numbers.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from seriatim.learning.forward_mode import ForwardModeLearner, Influence, InfluenceRule
from seriatim.learning.step_function import Data, ModelWeights, StepFunction, vjp
from seriatim.models.contract import StreamModel

SMALL = 1e-7
"""Added to the norms in (1), which may be 0."""


@final
class UORO(ForwardModeLearner):
    """UORO, with vectors and signs of its own for each row of a batch."""

    name = "uoro"
    influence_parts = 2

    def rule(self, model: StreamModel[Any], step: StepFunction) -> InfluenceRule:
        return RankOneInfluence(step)


@final
class RankOneInfluence(InfluenceRule):
    """The vectors s̃ [B, S] and θ̃ [B, N]."""

    def __init__(self, step: StepFunction) -> None:
        self.step = step

    def start(self, rows: int) -> Influence:
        theta = self.step.template
        return theta.new_zeros(rows, self.step.size), theta.new_zeros(rows, len(theta))

    def row(self, weights: ModelWeights, data: Data, s: Tensor, *influence: Tensor) -> tuple[Tensor, ...]:
        s_tilde, theta_tilde = influence
        loss, s_next, pullback = self.step.run_with_pullback(weights, data, s)
        theta, readout, of_s = pullback((torch.ones_like(loss), torch.zeros_like(s_next)))
        advanced = torch.zeros_like(s_next)
        if len(s):
            theta = theta + (of_s @ s_tilde) * theta_tilde  # (3)
            advanced = self._advance(weights, data, s, s_tilde)
        signs = torch.where(torch.rand_like(s_next) < 0.5, -1.0, 1.0).to(s_next.dtype)
        immediate = pullback((torch.zeros_like(loss), signs))[0]
        rho_0 = torch.sqrt((theta_tilde.norm() + SMALL) / (advanced.norm() + SMALL))  # (1)
        rho_1 = torch.sqrt((immediate.norm() + SMALL) / signs.norm())
        s_tilde, theta_tilde = rho_0 * advanced + rho_1 * signs, theta_tilde / rho_0 + immediate / rho_1  # (2)
        return loss, s_next, theta, readout, s_tilde, theta_tilde

    def _advance(self, weights: ModelWeights, data: Data, s: Tensor, s_tilde: Tensor) -> Tensor:
        """Return J_t s̃: the backward pass through wᵀ J_t, which is linear in w."""
        run = self.step.row_function(weights.constants, data)
        s_next, pullback = vjp(lambda state: run(weights.theta, weights.readout, state)[1], s)
        _, second_pullback = vjp(lambda w: pullback(w)[0], torch.zeros_like(s_next))
        product: Tensor = second_pullback(s_tilde)[0]
        return product
