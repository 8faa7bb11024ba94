"""Gradients that are too large are cut (Pascanu 2013)."""

from __future__ import annotations

import torch


def clip_norm(parameters: list[torch.nn.Parameter], threshold: float) -> float:
    """Scale all gradients together so that their norm is at most ``threshold``; 0 only measures.

    Returns the norm before clipping.
    """
    limit = threshold if threshold > 0 else float("inf")
    return float(torch.nn.utils.clip_grad_norm_(parameters, limit))


def clip_value(parameters: list[torch.nn.Parameter], threshold: float) -> bool:
    """Cut every number of every gradient to ± ``threshold``; 0 leaves them alone. Returns whether any was cut."""
    if threshold <= 0:
        return False
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    cut = any(bool((gradient.abs() > threshold).any()) for gradient in gradients)
    for gradient in gradients:
        gradient.clamp_(-threshold, threshold)
    return cut
