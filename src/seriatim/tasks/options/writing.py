"""Options of the tasks that write a text for each input."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import option
from seriatim.tasks.options.train import TextOptions


@dataclass(frozen=True, kw_only=True)
class WritingOptions(TextOptions):
    """Options of ``train translate`` and ``train caption``: texts and beam search."""

    learner: str = option("bptt", "how gradients through time are computed", choices=("bptt",))
    batch_tokens: int = option(8192, "maximum number of units per update, including padding", minimum=1)
    group: str | None = option(None, "column whose equal values stay in the same part of the split")
    drop_duplicates: bool = option(False, "drop repeated inputs before splitting")
    header: bool = option(True, "the table has no header: columns are numbered from 1", negative="no-header")
    lowercase: bool = option(False, "read and write in lower case")
    tie: bool = option(False, "share the embedding of the written units with the output layer (Press & Wolf 2017)")
    beam_size: int = option(4, "number of partial texts that the beam search keeps; 1 is greedy", minimum=1)
    n_best: int = option(1, "predict: number of texts for each input", minimum=1)
    length_penalty: float = option(0.6, "preference for longer texts; 0 is none (Wu 2016)", minimum=0.0)
    max_length: int | None = option(
        None, "maximum number of written units (default: twice the longest text of the training part)", minimum=1
    )
    alignment: bool = option(False, "predict: also return the attention weights")


DECODING_OPTIONS = ("beam_size", "n_best", "length_penalty", "max_length", "alignment")
"""Options that do not change the trained model, so that other verbs may override them."""
