"""Options of ``train classify``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.models.options import NETWORKS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.sequence import SequenceOptions

CLASSIFY_BASELINES = ("majority", "bag", "tfidf", "nearest", "rocket")


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(SequenceOptions):
    """Options of ``train classify``."""

    model: str = option("lstm", "network or baseline", choices=NETWORKS + CLASSIFY_BASELINES, registered=REGISTERED)
    dropout: float = option(0.3, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    label: str | None = option(None, "column of the label")
