"""Options of ``train classify``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.models.options import CELLS
from seriatim.options import option
from seriatim.tasks.options.common import UNITS, TrainOptions

CLASSIFY_BASELINES = ("majority", "bag")


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(TrainOptions):
    """Options of ``train classify``."""

    model: str = option("lstm", "cell of the network, or a baseline", choices=CELLS + CLASSIFY_BASELINES)
    dropout: float = option(0.3, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    learner: str = option("bptt", "gradient through time", choices=("bptt",))
    text: str | None = option(None, "column of the text")
    label: str | None = option(None, "column of the label")
    channels: tuple[str, ...] = option((), "numeric columns, one row per step: a,b,c")
    id: str | None = option(None, "column that tells sequences apart, with --channels")
    time: str | None = option(None, "column to order a sequence's rows by (default: as they stand)")
    group: str | None = option(None, "column whose equal values stay on one side of the split")
    drop_duplicates: bool = option(False, "drop repeated inputs before splitting")
    header: bool = option(True, "columns are numbers from 1", negative="no-header")
    unit: str = option("word", "what one step of a text reads", choices=UNITS)
    vocab_size: int | None = option(
        None, "keep the commonest units, the rest is <unk> (default: 20000; bpe: 4096)", minimum=2
    )
    pool: str = option("max", "how the states become one vector", choices=("last", "mean", "max"))
