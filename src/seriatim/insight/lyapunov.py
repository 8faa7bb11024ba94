"""The Lyapunov spectrum: the mean rates at which small changes of the state grow or shrink, per step.

    Q_t R_t = J_t Q_{t-1},   λ_i = 1/T Σ_t ln R_t[i, i]                    (1)

by repeated QR decompositions (Benettin 1980; for recurrent networks Vogt 2022, Engelken 2023). λ_1 < 0: all changes
are forgotten, at the latest after about -1/λ_1 steps; λ_1 > 0: the dynamics are chaotic and gradients explode.
For all N exponents, Σ λ_i is the mean of ln |det J_t|.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seriatim.insight.jacobians import step_jacobian
from seriatim.insight.step import Step


@dataclass(frozen=True)
class Spectrum:
    """Lyapunov exponents in nats per step, the largest first."""

    exponents: Tensor
    """[B, k]: of each row's trajectory."""
    history: Tensor
    """[T, B, k]: the running mean after each step, in the order of the QR decomposition; its end shows convergence."""
    log_determinant: Tensor
    """[B]: the mean of ln |det J_t|."""

    @property
    def drift(self) -> float:
        """The largest change of an exponent's running mean over the last quarter of the steps."""
        late = self.history[-max(len(self.history) // 4, 1) :]
        return float((late.max(0).values - late.min(0).values).max())


def lyapunov_spectrum(
    step: Step, inputs: Tensor, state: Tensor, count: int | None = None, *, warmup: int = 0, seed: int = 0
) -> Spectrum:
    """Return the ``count`` largest exponents (None: all N) along the trajectory of inputs [T, B, I] from state [B, N].

    The first ``warmup`` steps bring the state to its attractor and turn the directions; they do not count.

    >>> halves = lambda x, s: 0.5 * s
    >>> lyapunov_spectrum(halves, torch.zeros(9, 1, 1).double(), torch.ones(1, 2).double()).exponents
    tensor([[-0.6931, -0.6931]], dtype=torch.float64)
    """

    def jacobians() -> Iterator[Tensor]:
        current = state
        for x in inputs:
            yield step_jacobian(step, x, current)
            with torch.no_grad():
                current = step(x, current)

    return spectrum_of(jacobians(), count, warmup=warmup, seed=seed)


def spectrum_of(jacobians: Iterable[Tensor], count: int | None = None, *, warmup: int = 0, seed: int = 0) -> Spectrum:
    """The same from Jacobians [B, N, N], in the order of time.

    Transposed Jacobians in reversed order have the same exponents: this is how gradients on their way back grow.
    """
    directions: Tensor | None = None
    logs, determinants = [], []
    for t, jacobian in enumerate(jacobians):
        if directions is None:
            rows, size = jacobian.shape[:2]
            generator = torch.Generator().manual_seed(seed)
            start = torch.randn(rows, size, count or size, generator=generator, dtype=torch.float64)
            directions = torch.linalg.qr(start.to(jacobian.dtype)).Q
        directions, triangle = torch.linalg.qr(jacobian @ directions)
        if t >= warmup:
            logs.append(triangle.diagonal(dim1=1, dim2=2).abs().log())
            determinants.append(torch.linalg.slogdet(jacobian).logabsdet)
    steps = torch.arange(1, len(logs) + 1, dtype=logs[0].dtype)[:, None, None]
    history = torch.stack(logs).cumsum(0) / steps
    exponents = history[-1].sort(dim=1, descending=True).values
    return Spectrum(exponents, history, torch.stack(determinants).mean(0))
