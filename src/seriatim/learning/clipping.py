"""Clipping of gradients that are too large (Pascanu 2013)."""

from __future__ import annotations

import torch


def clip_norm(parameters: list[torch.nn.Parameter], threshold: float) -> float:
    """Scale all gradients together so that their norm is at most ``threshold``; 0 only measures it.

    Returns the norm before clipping.
    """
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    before = float(norm)
    if threshold > 0 and not before + 1e-6 <= threshold:  # PyTorch's own condition; it would multiply by 1 otherwise
        torch.nn.utils.clip_grads_with_norm_(parameters, threshold, norm)
    return before


def clip_value(parameters: list[torch.nn.Parameter], threshold: float) -> bool:
    """Limit each number of each gradient to ± ``threshold``; 0 changes nothing. Return whether any was clipped."""
    if threshold <= 0:
        return False
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    was_clipped = any(bool((gradient.abs() > threshold).any()) for gradient in gradients)
    for gradient in gradients:
        gradient.clamp_(-threshold, threshold)
    return was_clipped
