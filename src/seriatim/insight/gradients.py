"""How far back a loss looks, by its exact gradient: ‖∂loss_T/∂x_{T-k}‖ for k = 0, 1, 2, …

The gradient says what a small change of one input k steps ago would do to the loss at the last step. It is local: a
model may need an input to which its gradient is small. ``ablation.py`` measures what the model loses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

Losses: TypeAlias = Callable[[Tensor], Tensor]
"""Inputs [T, B, C] → the loss of each row at its last step, [B]. Rows do not influence each other."""


def input_gradient_norms(losses: Losses, inputs: Tensor) -> Tensor:
    """Return ‖∂loss_T/∂x_{T-k}‖ [T, B] by lag k = 0 … T - 1, for inputs [T, B, C].

    >>> input_gradient_norms(lambda x: (x[-1] + 0.5 * x[-2]).sum(1), torch.zeros(3, 1, 1)).flatten().tolist()
    [1.0, 0.5, 0.0]
    """
    leaf = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(losses(leaf).sum(), leaf)
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=2)
    return norms.flip(0)
