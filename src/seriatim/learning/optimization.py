"""Update rules and the schedules of their learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

from seriatim.learning.options import LearningOptions

FALLING_TO_ZERO = ("cosine", "linear")
"""Schedules that have an end, at which the learning rate is zero."""


def make_optimizer(parameters: Iterable[torch.nn.Parameter], options: LearningOptions) -> torch.optim.Optimizer:
    """Make the optimizer that ``options`` name. PyTorch's fused versions take less than half the time."""
    decay = options.weight_decay
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adam": lambda: torch.optim.Adam(parameters, lr=options.rate, weight_decay=decay, fused=True),
        "adamw": lambda: torch.optim.AdamW(parameters, lr=options.rate, weight_decay=decay, fused=True),
        "sgd": lambda: torch.optim.SGD(parameters, lr=options.rate, weight_decay=decay, fused=True),
    }
    return makers[options.optimizer]()


def warmup_factor(warmup: int, step: int) -> float:
    """Return the factor of the learning rate at update ``step`` (from 0): it rises linearly over ``warmup`` updates.

    Adam's first steps are as long as its later ones, although its averages rest on few gradients yet (Goyal 2017 for
    the linear rise; Xiong 2020 for why a Transformer needs it).
    """
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def schedule_factor(schedule: str, share_done: float, lr_drops: int) -> float:
    """Return the factor of the learning rate.

    ``share_done`` is the finished share of the training (0 to 1). ``lr_drops`` is the number of validations so far
    without an improvement; with ``plateau`` each of them halves the rate.
    """
    factors: dict[str, Callable[[], float]] = {
        "constant": lambda: 1.0,
        "plateau": lambda: 0.5**lr_drops,
        "cosine": lambda: 0.5 * (1.0 + math.cos(math.pi * share_done)),  # Loshchilov & Hutter 2017
        "linear": lambda: 1.0 - share_done,
    }
    return factors[schedule]()
