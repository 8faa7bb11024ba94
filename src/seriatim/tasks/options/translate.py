"""Options of ``train translate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seriatim.learning.options import learning_rate, schedule
from seriatim.models.options import CELLS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.train import text_unit
from seriatim.tasks.options.writing import WritingOptions

ATTENTIONS = ("none", "dot", "general", "concat", "additive")
TRANSLATE_BASELINES = ("nearest", "copy")
TRANSLATE_DEFAULTS: Mapping[str, Mapping[str, object]] = {"transformer": {"lr": 1e-3}}
"""Defaults of a model in this task; docs/defaults.md has the experiments."""


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(WritingOptions):
    """Options of ``train translate``."""

    model: str = option(
        "lstm", "network or baseline", choices=(*CELLS, "transformer", *TRANSLATE_BASELINES), registered=REGISTERED
    )
    unit: str = text_unit()
    hidden: int = option(256, "hidden units per layer", minimum=1)
    bidirectional: bool = option(False, "recurrent networks: the encoder reads the source in both directions")
    dropout: float = option(0.3, "dropout on embeddings, between layers and before the output", minimum=0.0, below=1.0)
    lr: float | str = learning_rate(4e-3, "transformer: 0.001")
    schedule: str = schedule("cosine")
    batch_size: int = option(32, "maximum number of pairs per update", minimum=1)
    batch_tokens: int = option(8192, "maximum number of units per update: sources, targets and padding", minimum=1)
    source: str | None = option(None, "column of the source texts (default: source)")
    target: str | None = option(None, "column of the target texts (default: target)")
    source_file: str | None = option(None, "file of the source texts, one per line, in place of DATA")
    target_file: str | None = option(
        None, "file of the target texts, one per line; --valid and --test are then SOURCE,TARGET"
    )
    drop_duplicates: bool = option(False, "drop repeated sources before splitting")
    vocab_size: int | None = option(
        None,
        "number of units to keep for sources and for targets; all others become <unk> (default: 20000; bpe: 4096)",
        minimum=2,
    )
    embedding_start: float | None = option(
        None,
        "recurrent networks: deviation of the initial embeddings (default: uniform in ± 1, or in ± 0.1 with --tie)",
        above=0.0,
    )
    output_start: float | None = option(
        None,
        "recurrent networks: deviation of the initial output weights, biases are 0 (default: uniform in ± 1/√width)",
        above=0.0,
    )
    reverse: bool = option(False, "recurrent networks: read the source from its end (Sutskever 2014)")
    peeky: bool = option(False, "recurrent networks: the decoder reads the context at every step (Cho 2014)")
    attention: str = option(
        "general", "recurrent networks: attention of the decoder to the source (Luong 2015, Bahdanau 2015)",
        choices=ATTENTIONS,
    )  # fmt: skip
    teacher_forcing: float = option(
        1.0,
        "recurrent networks: probability of reading the true previous unit, not the predicted one (Bengio 2015)",
        minimum=0.0,
    )
