"""Options of ``train`` for all tasks, and for all tasks that read texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seriatim.learning.options import LearningOptions
from seriatim.models.options import ModelOptions
from seriatim.options import option

UNITS = ("char", "word", "bpe")
"""Possible units of a text."""
LOGGERS = ("tensorboard", "wandb", "mlflow")
"""Experiment loggers, by the extra that each needs."""
DEFAULT_WORDS = 20_000


def text_unit() -> Any:
    """Return the option ``unit`` with the default ``auto``."""
    return option(
        "auto",
        "unit of text that is read in one step; auto: words, or byte pairs or characters where words are joined",
        choices=(*UNITS, "auto"),
    )


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions, LearningOptions):
    """Options of ``train`` for all tasks."""

    valid: str | None = option(None, "validation file, used whole")
    test: str | None = option(None, "test file, used whole")
    out: str | None = option(None, "run folder (default: runs/TASK-MODEL-N)")
    resume: bool = option(False, "continue from the checkpoint in --out")
    baselines: str = option(
        "all",
        "simple models to compare with; fast leaves out those that take more than a moment",
        choices=("all", "fast", "none"),
    )
    blend: str = option(
        "auto", "auto: mix the network with the baselines if this validates better", choices=("auto", "none")
    )
    ensemble: int = option(
        1, "train so many networks, from the seeds --seed, --seed + 1, …, and average their predictions", minimum=1
    )
    log: str | None = option(
        None, "also send the rows of metrics.jsonl and the scores to an experiment logger", choices=LOGGERS
    )
    quiet: bool = option(False, "no progress")


@dataclass(frozen=True, kw_only=True)
class TextOptions(TrainOptions):
    """Options of ``train`` for all tasks that read texts."""

    unit: str = option("word", "unit of text that is read in one step", choices=UNITS)
    vocab_size: int | None = option(
        None,
        "number of units to keep, the most frequent ones; all others become <unk> (default: 20000; bpe: 4096)",
        minimum=2,
    )
    vectors: str | None = option(
        None,
        "initial word embeddings: a file (word2vec or GloVe text), or cbow to train them on the training part",
    )
    freeze_vectors: bool = option(False, "do not train the embeddings that --vectors sets")

    def most_units(self, unit: str) -> int | None:
        """Return the size limit of a vocabulary of ``unit``; None means the default of the unit."""
        return self.vocab_size or (DEFAULT_WORDS if unit == "word" else None)
