"""Options of ``train classify``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import learning_rate, schedule
from seriatim.models.options import SEQUENCE_NETWORKS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.sequence import SequenceOptions

CLASSIFY_BASELINES = ("majority", "bag", "tfidf", "nearest", "rocket")


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(SequenceOptions):
    """Options of ``train classify``."""

    model: str = option(
        "lstm",
        "network or baseline; sequences of numbers take lstm_fcn",
        choices=SEQUENCE_NETWORKS + CLASSIFY_BASELINES,
        registered=REGISTERED,
    )
    dropout: float = option(0.5, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    lr: float | str = learning_rate(2e-3)
    schedule: str = schedule("cosine")
    label: str | None = option(None, "column of the label")
