"""Options of ``train language``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seriatim.learning.options import LEARNERS, learning_rate, schedule
from seriatim.models.options import STREAMING
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.train import UNITS, TextOptions

LANGUAGE_BASELINES = ("unigram", "markov", "cbow", "window")
LANGUAGE_DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "rnn": {"layer_norm": True, "layers": 2},
    **{name: {"layer_norm": True} for name in ("lstm", "gru")},
    "slstm": {"batch_size": 16},
    "transformer": {"batch_size": 8, "span": 32},
    **{name: {"batch_size": 8} for name in ("lru", "cnn")},
    **{name: {"batch_size": 8, "convolution": 4} for name in ("mingru", "minlstm")},
}
"""Defaults of a model in this task; docs/defaults.md has the experiments."""
DOCUMENTS = ("file", "paragraph", "line")


@dataclass(frozen=True, kw_only=True)
class LanguageOptions(TextOptions):
    """Options of ``train language``."""

    model: str = option("lstm", "network or baseline", choices=STREAMING + LANGUAGE_BASELINES, registered=REGISTERED)
    bidirectional: bool = option(False, "not available: a language model must not read the text that it predicts")
    hidden: int = option(256, "hidden units per layer", minimum=1)
    batch_size: int = option(
        32, "streams per update; slstm takes 16, transformer, cnn, mingru, minlstm and lru 8", minimum=1
    )
    learner: str = option("tbptt", "how gradients through time are computed", choices=LEARNERS)
    documents: str = option(
        "file",
        "where a document begins: the state is reset there, and bptt and recompute read documents whole",
        choices=DOCUMENTS,
    )
    lr: float | str = learning_rate(4e-3)
    schedule: str = schedule("cosine")
    unit: str = option(
        "char",
        "unit of text that is read in one step; roll: the notes of a piano roll (.mat, .npy)",
        choices=(*UNITS, "roll"),
    )
    vocab_size: int | None = option(
        None,
        "number of units to keep, the most frequent ones; all others become <unk> (default: all; bpe: 4096)",
        minimum=2,
    )
    tie: bool = option(
        False, "share the embedding with the output layer (Press & Wolf 2017); needs equal --embedding and --hidden"
    )
    softmax: str = option(
        "full", "adaptive: rare words cost less (Grave 2017), for large vocabularies of --unit word",
        choices=("full", "adaptive"),
    )  # fmt: skip
    restart: float = option(
        0.05, "probability per stream and update that the carried state is reset to zero", minimum=0.0, below=1.0
    )
    order: int | None = option(None, "markov: units of context, at most 8 (default: chosen on validation)", minimum=0)
    context: int = option(5, "cbow, window: units of context", minimum=1)
