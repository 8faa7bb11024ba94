"""The learners by the name of the option ``learner``."""

from __future__ import annotations

from collections.abc import Callable

from seriatim.learning.bptt import Truncated, WholeSequences
from seriatim.learning.learner import Learner
from seriatim.learning.options import LearningOptions, steps_of
from seriatim.learning.recomputing import Recomputing
from seriatim.learning.rtrl import RealTime
from seriatim.learning.snap1 import SparseOneStep
from seriatim.learning.uoro import RankOne

LEARNERS: dict[str, Callable[[LearningOptions], Learner]] = {
    "bptt": lambda options: WholeSequences(),
    "tbptt": lambda options: Truncated(*steps_of(options)),
    "recompute": lambda options: Recomputing(options.memory),
    "rtrl": lambda options: RealTime(options.memory),
    "snap1": lambda options: SparseOneStep(),
    "uoro": lambda options: RankOne(),
}


def make_learner(options: LearningOptions) -> Learner:
    """Make the learner that ``options`` name."""
    return LEARNERS[options.learner](options)
