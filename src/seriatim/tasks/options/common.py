"""Options of every ``train``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import LearningOptions
from seriatim.models.options import ModelOptions
from seriatim.options import option

UNITS = ("char", "word", "bpe")
"""What one step of a text can be."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions, LearningOptions):
    """Options of every ``train``."""

    valid: str | None = option(None, "validation file, used as it is")
    test: str | None = option(None, "test file, used as it is")
    out: str | None = option(None, "run folder (default: runs/TASK-MODEL-N)")
    resume: bool = option(False, "go on from the checkpoint in --out")
    baselines: str = option(
        "all", "naive models to train beside: fast leaves out the neural ones", choices=("all", "fast", "none")
    )
    quiet: bool = option(False, "no progress")
