"""UORO: RTRL whose influence is a product of two vectors, right on average (Tallec & Ollivier 2017).

    ν_t random signs [S]
    ρ0 = √(|θ̃_{t-1}| / |J_t s̃_{t-1}|)        ρ1 = √(|ν_tᵀ I_t| / |ν_t|)                              (1)
    s̃_t = ρ0 · J_t s̃_{t-1} + ρ1 · ν_t         θ̃_t = θ̃_{t-1} / ρ0 + ν_tᵀ I_t / ρ1                     (2)
    dL_t/dθ ≈ ∂L_t/∂θ + (∂L_t/∂s_{t-1} · s̃_{t-1}) θ̃_{t-1}                                             (3)

The mean of s̃ θ̃ᵀ over ν is the influence of ``realtime.py``, so (3) is unbiased at fixed weights; ρ only makes the
variance small. S + N numbers per row.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from seriatim.learning.forward_mode import ForwardModeLearner, Influence, InfluenceRule
from seriatim.learning.step_function import Data, StepFunction, Weights, vjp
from seriatim.models.contract import StreamModel

SMALL = 1e-7
"""Beside the norms in (1), which may be 0."""


@final
class UORO(ForwardModeLearner):
    """UORO; each row of a batch has vectors and signs of its own."""

    name = "uoro"
    parts = 2

    def rule(self, model: StreamModel[Any], step: StepFunction) -> InfluenceRule:
        return RankOneInfluence(step)


@final
class RankOneInfluence(InfluenceRule):
    """s̃ [B, S] and θ̃ [B, N]."""

    def __init__(self, step: StepFunction) -> None:
        self.step = step

    def start(self, rows: int) -> Influence:
        theta = self.step.like
        return theta.new_zeros(rows, self.step.size), theta.new_zeros(rows, len(theta))

    def row(self, weights: Weights, data: Data, s: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        of_state, of_theta = memory
        loss, after, pull = self.step.pulled(weights, data, s)
        theta, head, of_s = pull((torch.ones_like(loss), torch.zeros_like(after)))
        led = torch.zeros_like(after)
        if len(s):
            theta = theta + (of_s @ of_state) * of_theta  # (3)
            led = self._led(weights, data, s, of_state)
        signs = torch.where(torch.rand_like(after) < 0.5, -1.0, 1.0).to(after.dtype)
        immediate = pull((torch.zeros_like(loss), signs))[0]
        rho_0 = torch.sqrt((of_theta.norm() + SMALL) / (led.norm() + SMALL))  # (1)
        rho_1 = torch.sqrt((immediate.norm() + SMALL) / signs.norm())
        return loss, after, theta, head, rho_0 * led + rho_1 * signs, of_theta / rho_0 + immediate / rho_1  # (2)

    def _led(self, weights: Weights, data: Data, s: Tensor, of_state: Tensor) -> Tensor:
        """J_t s̃: backward through wᵀ J_t, which is linear in w."""
        run = self.step.of_row(weights.constants, data)
        after, pull = vjp(lambda state: run(weights.theta, weights.head, state)[1], s)
        _, pull_again = vjp(lambda w: pull(w)[0], torch.zeros_like(after))
        led: Tensor = pull_again(of_state)[0]
        return led
