"""The table of learners, by the names of the option ``learner``."""

from __future__ import annotations

from collections.abc import Callable

from seriatim.learning.bptt import BPTT, TruncatedBPTT
from seriatim.learning.learner import Learner
from seriatim.learning.options import LearningOptions, truncation_of
from seriatim.learning.recomputing import Recomputing
from seriatim.learning.rtrl import RTRL
from seriatim.learning.snap1 import SnAp1
from seriatim.learning.uoro import UORO

LEARNERS: dict[str, Callable[[LearningOptions], Learner]] = {
    "bptt": lambda options: BPTT(),
    "tbptt": lambda options: TruncatedBPTT(*truncation_of(options)),
    "recompute": lambda options: Recomputing(options.memory),
    "rtrl": lambda options: RTRL(options.memory, k1=truncation_of(options)[0]),
    "snap1": lambda options: SnAp1(k1=truncation_of(options)[0]),
    "uoro": lambda options: UORO(k1=truncation_of(options)[0]),
}


def make_learner(options: LearningOptions) -> Learner:
    """Make the learner that ``options.learner`` names."""
    return LEARNERS[options.learner](options)
