"""Linear memory capacity: how many past inputs a linear readout of the state gives back (Jaeger 2002).

    MC = Σ_{k ≥ 0} r²(u_{t-k}, ŷ_k(t)),   ŷ_k the least-squares readout of u_{t-k} from s_t      (1)

for independent inputs u. It is at most N, and equals N for a linear network in general position.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seriatim.insight.step import Step, trajectory


@dataclass(frozen=True)
class Capacity:
    """The inputs that a linear readout recalls."""

    by_lag: Tensor
    """[K + 1]: r² of the input 0 … K steps ago, corrected for the number of readout weights and never below 0."""

    @property
    def total(self) -> float:
        """MC."""
        return float(self.by_lag.sum())


def memory_capacity(
    step: Step, state: Tensor, inputs: int, lags: int, *, steps: int = 5000, washout: int = 500, seed: int = 0
) -> Capacity:
    """Drive the step with noise, uniform in [-1, 1] and the same on all ``inputs`` channels, and read it back.

    ``state`` [1, N] is where it starts, and lags go from 0 to ``lags``. Each readout has N + 1 weights;
    with n steps, a readout of nothing would have
    r² = N / n, which the usual correction 1 - (1 - r²)(n - 1)/(n - N - 1) takes away on average.

    >>> delay = lambda x, s: torch.cat([x, s[:, :-1]], 1)
    >>> round(memory_capacity(delay, torch.zeros(1, 5).double(), 1, 8, steps=500).total, 1)
    5.0
    """
    generator = torch.Generator().manual_seed(seed)
    noise = 2 * torch.rand(washout + lags + steps, generator=generator, dtype=torch.float64) - 1
    driven = noise.to(state.dtype)[:, None, None].expand(-1, 1, inputs)
    states = trajectory(step, driven, state)[1:, 0].double()[washout + lags :]
    states = torch.cat([states, states.new_ones(len(states), 1)], 1)
    first = washout + lags
    targets = torch.stack([noise[first - lag : first - lag + steps] for lag in range(lags + 1)], 1)
    weights = torch.linalg.lstsq(states, targets, driver="gelsd").solution
    errors = (targets - states @ weights).square().sum(0)
    spread = (targets - targets.mean(0)).square().sum(0)
    rank = int(torch.linalg.matrix_rank(states)) - 1
    share = 1 - errors / spread * (steps - 1) / max(steps - rank - 1, 1)
    return Capacity(share.clamp(min=0.0))
