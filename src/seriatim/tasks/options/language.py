"""Options of ``train language``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import LEARNERS, learning_rate
from seriatim.models.options import STREAMING
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.train import UNITS, TextOptions

LANGUAGE_BASELINES = ("unigram", "markov", "cbow", "window")
DOCUMENTS = ("file", "paragraph", "line")


@dataclass(frozen=True, kw_only=True)
class LanguageOptions(TextOptions):
    """Options of ``train language``."""

    model: str = option("lstm", "network, or a baseline", choices=STREAMING + LANGUAGE_BASELINES, registered=REGISTERED)
    bidirectional: bool = option(False, "not for language: the future is what it predicts")
    hidden: int = option(256, "hidden units per layer", minimum=1)
    learner: str = option("tbptt", "gradient through time", choices=LEARNERS)
    documents: str = option(
        "file", "where the state starts anew, and what bptt and recompute take whole", choices=DOCUMENTS
    )
    lr: float | str = learning_rate(2e-3)
    unit: str = option(
        "char", "what one step reads; roll: the notes of a piano roll (.mat, .npy)", choices=(*UNITS, "roll")
    )
    vocab_size: int | None = option(
        None, "keep the commonest units, the rest is <unk> (default: all; bpe: 4096)", minimum=2
    )
    tie: bool = option(False, "share the embedding with the output layer (Press & Wolf 2017); embedding = hidden")
    restart: float = option(
        0.05, "chance per stream and update that the carried state starts anew at zero", minimum=0.0, below=1.0
    )
    order: int | None = option(None, "markov: units of context, at most 8 (default: chosen on validation)", minimum=0)
    context: int = option(5, "cbow, window: units of context", minimum=1)
