"""Units that do not work: saturated, dead or constant.

A gradient that passes an activation φ is multiplied by its derivative. Of tanh it is 1 - h², of σ it is h (1 - h), of
relu 0 or 1. A unit whose derivative is nearly always nearly zero does not learn.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seriatim.nn.saturation import SATURATED, derivative

CONSTANT = 1e-3
"""A deviation over data below this share of an activation's range counts as constant."""
RANGE = {"tanh": 2.0, "sigmoid": 1.0}


@dataclass(frozen=True)
class Units:
    """Shares and flags of H units."""

    derivative: Tensor
    """[H]: the mean derivative of the activation, over its largest value."""
    saturated: Tensor
    """[H]: the share of steps at which the unit is saturated."""
    is_dead: Tensor
    """[H]: the derivative is zero at all steps, so no gradient passes (a relu that is never above zero)."""
    is_constant: Tensor
    """[H]: the value does not depend on the data."""


def examine(values: Tensor, activation: str) -> Units:
    """Examine activations [..., H] over all steps and rows.

    >>> import torch
    >>> examine(torch.tensor([[0.0, 1.0], [0.5, 1.0]]), "relu").is_dead.tolist()
    [False, False]
    """
    flat = values.detach().double().flatten(0, -2)
    slopes = derivative(flat, activation)
    deviation = flat.std(0, correction=0)
    extent = RANGE.get(activation, max(float(flat.abs().max()), 1e-12))
    return Units(
        slopes.mean(0),
        (slopes < SATURATED).double().mean(0),
        slopes.max(0).values <= 0,
        deviation <= CONSTANT * extent,
    )
