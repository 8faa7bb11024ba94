"""Options of ``train regress``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.models.options import NETWORKS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.sequence import SequenceOptions

REGRESS_BASELINES = ("mean", "bag")


@dataclass(frozen=True, kw_only=True)
class RegressOptions(SequenceOptions):
    """Options of ``train regress``."""

    model: str = option("lstm", "network, or a baseline", choices=NETWORKS + REGRESS_BASELINES, registered=REGISTERED)
    patience: int = option(5, "validations without improvement before training stops", minimum=1)
    target: str | None = option(None, "column of the number to tell")
    target_cap: float | None = option(None, "targets above this count as this, in training and in scoring")
    every_step: bool = option(
        False, "each row with a target is an example: the rows of its id up to it; the target may change within an id"
    )
    lookback: int | None = option(None, "read only the last steps of a sequence, so many (default: all)", minimum=1)
    pool: str = option("last", "how the states become one vector", choices=("last", "mean", "max"))
