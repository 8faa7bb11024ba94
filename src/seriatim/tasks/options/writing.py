"""Options of the tasks that write a text for each thing that they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import option
from seriatim.tasks.options.train import TextOptions


@dataclass(frozen=True, kw_only=True)
class WritingOptions(TextOptions):
    """Options of ``train translate`` and ``train caption``: what is written, and how it is looked for."""

    learner: str = option("bptt", "gradient through time", choices=("bptt",))
    group: str | None = option(None, "column whose equal values stay on one side of the split")
    header: bool = option(True, "columns are numbers from 1", negative="no-header")
    lowercase: bool = option(False, "read and write in lower case")
    tie: bool = option(False, "share the embedding of what is written with the output layer (Press & Wolf 2017)")
    beam_size: int = option(4, "beginnings that are kept while writing; 1 is greedy", minimum=1)
    n_best: int = option(1, "predict: texts for each input", minimum=1)
    length_penalty: float = option(0.6, "favours longer texts; 0 does not (Wu 2016)", minimum=0.0)
    max_length: int | None = option(
        None, "units written at most (default: twice the longest text of the training part)", minimum=1
    )
    alignment: bool = option(False, "predict: give attention's weights too")


ANEW = ("beam_size", "n_best", "length_penalty", "max_length", "alignment")
"""Those that do not change what was learned."""
