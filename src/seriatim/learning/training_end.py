"""Where a training ends: after ``--epochs``, at a number of updates, when validation stops improving, or in time.

A schedule that falls to zero needs its last update. Without ``--epochs`` it is estimated once from the speed and the
time limit, and kept in the checkpoint, so that a resumed training ends at the same update.
"""

from __future__ import annotations

import math
from typing import Any, Final, final

from seriatim.learning.checkpoint import Progress
from seriatim.learning.clock import Clock
from seriatim.learning.optimization import FALLING_TO_ZERO
from seriatim.learning.options import LearningOptions
from seriatim.learning.plan import TrainingPlan
from seriatim.learning.team import Team

MAX_UPDATES_BETWEEN_VALIDATIONS: Final = 1000
"""A longer epoch is validated in its middle too."""
MIN_UPDATES_BETWEEN_VALIDATIONS: Final = 50
"""Shorter epochs share a validation, so that the luck of a few updates decides nothing."""
DEFAULT_TIME_LIMIT: Final = 600.0
"""Seconds, if neither --epochs nor --time-limit is given."""

# A schedule that ends at the time limit needs the number of updates that fit. It is estimated at a validation.
MIN_MEASURED: Final = 0.03
"""Share of the time limit that must have passed before the estimate, but no more than ``MIN_SECONDS`` seconds."""
MIN_SECONDS: Final = 10.0
MAX_MEASURED: Final = 0.1
"""Share of the time limit after which a validation is due, so that the estimate is not late."""
MAX_SECONDS: Final = 30.0
OVERTIME: Final = 1.25
"""After the estimate the number of updates is fixed. They may take this many times the time limit if they are slow."""
COOL_DOWN: Final = 4
"""When validation stops improving, a quarter of the updates so far follow, in which the rate falls to zero."""


def time_limit_of(options: LearningOptions) -> float:
    """Return the time limit of a training in seconds; infinity if only --epochs limits it."""
    return options.time_limit or (math.inf if options.epochs else DEFAULT_TIME_LIMIT)


@final
class TrainingEnd:
    """Decides when a training validates and when it ends. It has no state: the counters are those of ``Progress``."""

    def __init__(self, plan: TrainingPlan[Any], options: LearningOptions) -> None:
        self._planned_updates, self._epochs, self._patience = plan.updates, options.epochs, options.patience
        self.time_limit = time_limit_of(options)
        self.follows_clock = options.schedule in FALLING_TO_ZERO and options.epochs is None
        """Whether the schedule ends at the time limit."""

    def total_updates(self, progress: Progress, batches_per_epoch: int) -> int | None:
        """Return the number of updates of the whole training, if it is fixed."""
        return batches_per_epoch * self._epochs if self._epochs else self._last_update(progress)

    def share_done(self, progress: Progress, epoch: float) -> float:
        """Return the share of the schedule that has passed after ``epoch`` epochs; 0 while its end is unknown."""
        return epoch / self._epochs if self._epochs else progress.step / (self._last_update(progress) or math.inf)

    def is_last_epoch(self, progress: Progress) -> bool:
        """Return whether the current epoch is the last one of ``--epochs``."""
        return self._epochs is not None and progress.epoch + 1 >= self._epochs

    def time_is_up(self, progress: Progress, seconds: float) -> bool:
        """Return whether training ends after ``seconds`` seconds, because of the time or the number of updates."""
        total = self._last_update(progress)
        if total is None:
            return seconds >= self.time_limit
        return progress.step >= total or seconds >= OVERTIME * self.time_limit

    def validation_is_due(self, progress: Progress, seconds: float, *, epoch_ends: bool) -> bool:
        """Return whether the weights are to be validated now."""
        least = MIN_UPDATES_BETWEEN_VALIDATIONS if epoch_ends else MAX_UPDATES_BETWEEN_VALIDATIONS
        waits_for_estimate = self.follows_clock and progress.total_updates is None
        estimate_is_late = seconds >= min(MAX_MEASURED * self.time_limit, MAX_SECONDS)
        return progress.updates >= least or (waits_for_estimate and estimate_is_late)

    def fix(self, progress: Progress, batches_per_epoch: int, clock: Clock, team: Team) -> str:
        """Fix the number of updates once it can be estimated; reduce it when validation stops improving.

        The reduction depends on scores alone, so a resumed training ends at the same update. A plan that has a number
        of updates keeps it, unless fewer fit into the time limit. Returns a note for the user, mostly empty.
        """
        note, seconds = "", team.decide(clock.seconds)
        if progress.total_updates is None and seconds >= min(MIN_MEASURED * self.time_limit, MIN_SECONDS):
            epochs = math.ceil(MIN_UPDATES_BETWEEN_VALIDATIONS / batches_per_epoch)
            interval = min(epochs * batches_per_epoch, MAX_UPDATES_BETWEEN_VALIDATIONS)
            rest = team.decide(lambda: clock.updates_that_fit(self.time_limit - seconds, interval))
            fitting = progress.step + rest
            progress.total_updates = min(fitting, self._planned_updates or fitting)
            if progress.total_updates == fitting:
                note = f"{fitting:,} updates fit into the time limit, by the speed so far"
        if self._planned_updates is None and progress.since_gain >= self._patience:
            end = progress.step + progress.step // COOL_DOWN
            progress.total_updates = min(end, progress.total_updates or end)
        return note

    def has_stopped_improving(self, progress: Progress) -> bool:
        """Whether validation has not improved for ``patience`` times. A schedule with an end is carried to its end."""
        has_end = self._epochs is not None or self.follows_clock
        return not has_end and progress.since_gain >= self._patience

    def limited_to(self, progress: Progress) -> str:
        """Return the part of a finished training that the time limit allowed, in words; mostly empty.

        A schedule that ends at the time limit by itself is not cut.
        """
        time_is_over = progress.elapsed >= self.time_limit
        if self.follows_clock:
            planned, done = self._planned_updates or 0, progress.step
            is_limited = done < planned and (time_is_over or (progress.total_updates or planned) < planned)
            return f"{done:,} of {planned:,} updates" if is_limited else ""
        if not time_is_over:
            return ""
        epochs = float(progress.rows[-1]["epoch"])
        if self._epochs is not None:
            return f"{epochs:.1f} of {self._epochs} epochs" if epochs < self._epochs else ""
        return "" if self.has_stopped_improving(progress) else f"the first {epochs:.1f} epochs, still improving"

    def _last_update(self, progress: Progress) -> int | None:
        """Return the number of updates at which a schedule without --epochs ends, or None while it is unknown."""
        return progress.total_updates or (self._planned_updates if self.follows_clock else None)
