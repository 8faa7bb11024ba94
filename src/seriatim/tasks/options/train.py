"""Options of every ``train``, and of every one that reads texts."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import LearningOptions
from seriatim.models.options import ModelOptions
from seriatim.options import option

UNITS = ("char", "word", "bpe")
"""What one step of a text can be."""
DEFAULT_WORDS = 20_000


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


@dataclass(frozen=True, kw_only=True)
class TextOptions(TrainOptions):
    """Options of every ``train`` that reads texts."""

    unit: str = option("word", "what one step of a text reads", choices=UNITS)
    vocab_size: int | None = option(
        None, "keep the commonest units, the rest is <unk> (default: 20000; bpe: 4096)", minimum=2
    )
    vectors: str | None = option(
        None, "start the words' embeddings from this file (word2vec or GloVe text), or cbow: from the training part"
    )
    freeze_vectors: bool = option(False, "keep the embeddings as --vectors starts them")

    @property
    def most_units(self) -> int | None:
        """Units that a vocabulary keeps; None leaves it to the vocabulary."""
        return self.vocab_size or (DEFAULT_WORDS if self.unit == "word" else None)
