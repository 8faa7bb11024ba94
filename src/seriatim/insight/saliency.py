"""Attribution of an output to its inputs: integrated gradients (Sundararajan 2017).

    a_i = (x_i - x'_i) ∫_0^1 ∂F(x' + α (x - x')) / ∂x_i dα                 (1)

x' is a neutral input. The attributions of all steps and features sum to F(x) - F(x') (completeness); ``gap`` shows how
exactly they do. The integral is a Gauss-Legendre sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Attribution:
    """Shares of an output by step and feature."""

    values: Tensor
    """[T, B, C]."""
    gap: Tensor
    """[B]: F(x) - F(x') less the sum of the attributions."""

    @property
    def by_step(self) -> Tensor:
        """[T, B]."""
        return self.values.sum(2)


def integrated_gradients(
    output: Callable[[Tensor], Tensor], inputs: Tensor, neutral: Tensor | None = None, *, points: int = 32
) -> Attribution:
    """Attribute ``output``, a function of inputs [T, B, C] → [B], to ``inputs``; ``neutral`` is x' (None: zeros).

    Rows must not influence each other.

    >>> weights = torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    >>> weighted = lambda x: (weights * x).sum((0, 2))
    >>> integrated_gradients(weighted, torch.ones(3, 1, 1)).by_step.flatten().round().tolist()
    [1.0, 2.0, 3.0]
    """
    start = torch.zeros_like(inputs) if neutral is None else neutral.expand_as(inputs)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    change = (inputs - start).detach()
    total = torch.zeros_like(inputs)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        leaf = (start + float(node) * change).detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(output(leaf).sum(), leaf)
        total += float(weight) * gradient
    values = total * change
    with torch.no_grad():
        gap = output(inputs) - output(start) - values.sum((0, 2))
    return Attribution(values, gap)
