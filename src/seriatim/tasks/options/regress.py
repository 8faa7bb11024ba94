"""Options of ``train regress``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.learning.options import learning_rate, schedule
from seriatim.models.options import SEQUENCE_NETWORKS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.sequence import SequenceOptions

REGRESS_BASELINES = ("mean", "bag", "tfidf", "stats", "rocket")


@dataclass(frozen=True, kw_only=True)
class RegressOptions(SequenceOptions):
    """Options of ``train regress``."""

    model: str = option(
        "lstm", "network or baseline", choices=SEQUENCE_NETWORKS + REGRESS_BASELINES, registered=REGISTERED
    )
    lr: float | str = learning_rate(2e-3)
    schedule: str = schedule("cosine")
    patience: int = option(5, "validations without improvement before training stops", minimum=1)
    target: str | None = option(None, "column of the number to predict")
    target_cap: float | None = option(
        None, "upper limit of the target; larger targets count as this, in training and in scoring"
    )
    every_step: bool = option(
        False,
        "make an example of each row with a target: the rows of its id up to this row; targets may differ within an id",
    )
    lookback: int | None = option(None, "number of last steps of a sequence to read (default: all)", minimum=1)
    pool: str = option("last", "how the states are pooled into one vector", choices=("last", "mean", "max"))
