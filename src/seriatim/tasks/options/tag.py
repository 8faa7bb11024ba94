"""Options of ``train tag``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seriatim.learning.options import learning_rate, schedule
from seriatim.models.options import STREAMING
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.subwords import SubwordOptions

TAG_BASELINES = ("most_frequent_tag", "perceptron")
TAG_DEFAULTS: Mapping[str, Mapping[str, object]] = {name: {"subwords": True} for name in STREAMING}
"""Defaults of a model in this task; docs/defaults.md has the experiments."""


@dataclass(frozen=True, kw_only=True)
class TagOptions(SubwordOptions):
    """Options of ``train tag``."""

    model: str = option("lstm", "network or baseline", choices=STREAMING + TAG_BASELINES, registered=REGISTERED)
    bidirectional: bool = option(True, "read each sentence only from its start", negative="no-bidirectional")
    dropout: float = option(0.4, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    lr: float | str = learning_rate(4e-3)
    schedule: str = schedule("cosine")
    batch_tokens: int = option(4096, "maximum number of words per update, including padding", minimum=1)
    learner: str = option("bptt", "how gradients through time are computed", choices=("bptt",))
    column: str | None = option(
        None,
        "column of the tags: a name in CoNLL-U (default: upos) and JSON lines (default: tags), else a number (last)",
    )
    words: str | None = option(
        None, "column of the words: a name or a number likewise (default: form, words, the first)"
    )
    unit: str = option("word", "unit that is tagged", choices=("word",))
    drop_duplicates: bool = option(False, "drop repeated sentences before splitting")
    vocab_size: int | None = option(
        None, "number of words to keep, the most frequent ones; all others become <unk> (default: all)", minimum=2
    )
    lowercase: bool = option(
        True, "distinguish capital letters in words (the spelling always does)", negative="no-lowercase"
    )
    characters: str = option("birnn", "network that reads the characters of a word", choices=("birnn", "cnn", "none"))
    spelling: int = option(64, "hidden units of the network that reads characters, per direction", minimum=1)
    word_dropout: float = option(
        0.5, "probability that training reads a word as <unk> if it occurs only once", minimum=0.0, below=1.0
    )
    crf: bool = option(False, "score whole sequences of tags, with a conditional random field (Lafferty 2001)")
