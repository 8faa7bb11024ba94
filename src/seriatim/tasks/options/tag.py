"""Options of ``train tag``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import learning_rate
from seriatim.models.options import STREAMING
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.train import TextOptions

TAG_BASELINES = ("most_frequent_tag",)


@dataclass(frozen=True, kw_only=True)
class TagOptions(TextOptions):
    """Options of ``train tag``."""

    model: str = option("lstm", "network, or a baseline", choices=STREAMING + TAG_BASELINES, registered=REGISTERED)
    bidirectional: bool = option(True, "read each sentence from its start only", negative="no-bidirectional")
    dropout: float = option(0.4, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    lr: float | str = learning_rate(2e-3)
    batch_tokens: int = option(4096, "words per update at most, padding counted", minimum=1)
    learner: str = option("bptt", "gradient through time", choices=("bptt",))
    column: str | None = option(
        None,
        "column of the tags: in CoNLL-U a name (default: upos), in JSON lines too (tags), else a number (the last)",
    )
    words: str | None = option(None, "column of the words, named likewise (default: form, words, the first)")
    unit: str = option("word", "what is tagged", choices=("word",))
    drop_duplicates: bool = option(False, "drop repeated sentences before splitting")
    vocab_size: int | None = option(None, "keep the commonest words, the rest is <unk> (default: all)", minimum=2)
    lowercase: bool = option(
        True, "tell words apart by capital letters (their characters always do)", negative="no-lowercase"
    )
    characters: str = option("birnn", "how a word's characters are read", choices=("birnn", "cnn", "none"))
    spelling: int = option(64, "hidden units that read a word's characters, in each direction", minimum=1)
    word_dropout: float = option(
        0.5, "how often training reads a word that it sees once as <unk>", minimum=0.0, below=1.0
    )
    crf: bool = option(False, "judge whole sequences of tags, by a conditional random field (Lafferty 2001)")
