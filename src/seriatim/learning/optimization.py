"""Update rules and the schedules of their learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

from seriatim.errors import UsageError
from seriatim.learning.options import LearningOptions


def make_optimizer(parameters: Iterable[torch.nn.Parameter], options: LearningOptions) -> torch.optim.Optimizer:
    """Make the update rule that ``options`` name; fused, which takes less than half the time."""
    decay = options.weight_decay
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adam": lambda: torch.optim.Adam(parameters, lr=options.rate, weight_decay=decay, fused=True),
        "adamw": lambda: torch.optim.AdamW(parameters, lr=options.rate, weight_decay=decay, fused=True),
        "sgd": lambda: torch.optim.SGD(parameters, lr=options.rate, weight_decay=decay, fused=True),
    }
    return makers[options.optimizer]()


def check_schedule(options: LearningOptions) -> None:
    """Refuse a schedule that needs to know the end of a training whose end is open."""
    if options.schedule in ("cosine", "linear") and options.epochs is None:
        raise UsageError(f"schedule: '{options.schedule}' needs --epochs, which says where it ends")


def warmup_factor(warmup: int, step: int) -> float:
    """Tell by how much more the rate is multiplied at update ``step`` (from 0): it rises over ``warmup`` updates.

    Adam's first steps are as long as its later ones, though its averages know next to nothing yet (Goyal 2017 for the
    linear rise; Xiong 2020 for why a Transformer wants it).
    """
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def schedule_factor(schedule: str, done: float, stale: int) -> float:
    """Tell by how much the starting learning rate is multiplied.

    ``done`` is the share of the training that lies behind (0 to 1); ``stale`` counts all validations so far that
    brought no improvement: with ``plateau`` each of them halves the rate.
    """
    factors: dict[str, Callable[[], float]] = {
        "constant": lambda: 1.0,
        "plateau": lambda: 0.5**stale,
        "cosine": lambda: 0.5 * (1.0 + math.cos(math.pi * done)),  # Loshchilov & Hutter 2017
        "linear": lambda: 1.0 - done,
    }
    return factors[schedule]()
