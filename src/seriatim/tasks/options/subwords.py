"""Options of vectors of character n-grams, for the tasks that can read words with them."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.options import option
from seriatim.tasks.options.train import TextOptions


@dataclass(frozen=True, kw_only=True)
class SubwordOptions(TextOptions):
    """Options of vectors of character n-grams."""

    subwords: bool = option(
        False,
        "words: add the vectors of n-grams of 3 to 6 characters (Bojanowski 2017; default of tag, and of classify for "
        "texts)",
        negatable=True,
    )
    subword_buckets: int = option(20_000, "number of vectors that the n-grams share, by their hash", minimum=1)
