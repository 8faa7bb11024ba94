"""The input and the result of the training loop: ``TrainingPlan`` and ``Outcome``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

from seriatim.models.contract import BatchT, Trainable

OnValidation = Callable[[dict[str, float]], bool | None]
"""A function that receives each row of ``metrics.jsonl``. Training ends when it returns true."""


@dataclass(frozen=True)
class TrainingPlan(Generic[BatchT]):
    """The data that a model is trained on, and the scores that judge its progress."""

    epoch: Callable[[int], Sequence[BatchT]]
    """Return the batches of epoch n, in order; each is made when it is asked for."""
    validate: Callable[[Trainable[BatchT]], dict[str, float]]
    """Return the scores on the validation part, named ``valid_…``."""
    monitor: str
    """The score that decides which weights are best. Lower is better."""
    rate: str = "steps_per_second"
    """The name of the training speed."""
    updates: int | None = None
    """The number of updates at which a schedule that falls to zero ends without --epochs, if the time limit allows so
    many. None: it ends at the time limit, or when validation stops improving."""
    limited_to: str = ""
    """The part of the work before the training that the time limit allowed, in words; empty if it was all."""


@dataclass(frozen=True)
class Outcome:
    """The result of a training. The model holds the best weights."""

    epochs: int
    steps: int
    seconds: float
    rows: tuple[dict[str, float], ...]
    data_seconds: float = 0.0
    """Seconds that this process spent on making batches."""
    found_lr: float | None = None
    """The learning rate that ``--lr find`` found."""
    limited_to: str = ""
    """The part of the work that the time limit allowed, in words; empty if it was all."""
