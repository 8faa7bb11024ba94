"""Options of ``train translate``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.models.options import CELLS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.writing import WritingOptions

ATTENTIONS = ("none", "dot", "general", "concat", "additive")
TRANSLATE_BASELINES = ("nearest", "copy")


@dataclass(frozen=True, kw_only=True)
class TranslateOptions(WritingOptions):
    """Options of ``train translate``."""

    model: str = option(
        "lstm", "network, or a baseline", choices=(*CELLS, "transformer", *TRANSLATE_BASELINES), registered=REGISTERED
    )
    hidden: int = option(256, "hidden units per layer", minimum=1)
    bidirectional: bool = option(False, "recurrent networks: the encoder reads the source in both directions")
    batch_size: int = option(128, "pairs per update, at most", minimum=1)
    batch_tokens: int = option(8192, "units per update, source and target and padding, at most", minimum=1)
    source: str | None = option(None, "column of what is read (default: source)")
    target: str | None = option(None, "column of what is written (default: target)")
    source_file: str | None = option(None, "without DATA: file of what is read, one text per line")
    target_file: str | None = option(None, "the same of what is written; --valid and --test are then SOURCE,TARGET")
    drop_duplicates: bool = option(False, "drop repeated sources before splitting")
    vocab_size: int | None = option(
        None, "keep the commonest units of either side, the rest is <unk> (default: 20000; bpe: 4096)", minimum=2
    )
    embedding_start: float | None = option(
        None,
        "recurrent networks: embeddings start with this deviation (default: evenly in ± 1; tied ones in ± 0.1)",
        above=0.0,
    )
    output_start: float | None = option(
        None,
        "recurrent networks: the output's weights start with this deviation, its biases at 0 (default: in ± 1/√width)",
        above=0.0,
    )
    reverse: bool = option(False, "recurrent networks: read the source from its end (Sutskever 2014)")
    peeky: bool = option(False, "recurrent networks: the decoder sees the context at every step (Cho 2014)")
    attention: str = option(
        "general", "recurrent networks: how the decoder looks back at the source (Luong 2015, Bahdanau 2015)",
        choices=ATTENTIONS,
    )  # fmt: skip
    teacher_forcing: float = option(
        1.0,
        "recurrent networks: chance of the true unit before, not the model's own (Bengio 2015)",
        minimum=0.0,
    )
