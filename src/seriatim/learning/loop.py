"""The training loop: one path for every model, learner and task.

while not enough:
    take the next batch                   in order, by its position in the epoch
    learner.step                          leaves the gradient
    clip, set the learning rate, update
    validate after each epoch             keep the weights if they are the best so far
    write a checkpoint now and then       a kill at any instant loses at most what came after it
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, final

import torch

from seriatim.errors import Interrupted, RunError, TrainingError
from seriatim.learning.checkpoint import Checkpoint, Progress, State, read_checkpoint, write_checkpoint
from seriatim.learning.clipping import clip_norm, clip_value
from seriatim.learning.interrupt import deferred_interrupt
from seriatim.learning.learners import make_learner
from seriatim.learning.observer import Observer
from seriatim.learning.optimization import check_schedule, make_optimizer, schedule_factor, warmup_factor
from seriatim.learning.options import LearningOptions
from seriatim.learning.range_test import find_learning_rate
from seriatim.models.contract import BatchT, Carry, Trainable
from seriatim.options import FIND
from seriatim.storage import write_arrays, write_bytes

VALIDATE_AT_LEAST_EVERY = 1000
"""Updates: an epoch longer than this is validated in between …"""
VALIDATE_AT_MOST_EVERY = 50
"""… and epochs shorter than this share a validation, so that a step or two of luck decides nothing."""
LEAST_GAIN = 1e-3
"""Of the best score: a validation that gains less counts as no improvement, though its weights are kept."""
LEAST_SCORE = 0.05
"""Nats or deviations: a best score nearer to zero counts as this, or a loss on its way there would gain for ever."""
DEFAULT_TIME_LIMIT = 600.0
"""Seconds, when neither --epochs nor --time-limit is given."""


@dataclass(frozen=True)
class TrainingPlan(Generic[BatchT]):
    """What one model is trained on, and how its progress is judged."""

    epoch: Callable[[int], Sequence[BatchT]]
    """The batches of epoch n, in order, each made when it is asked for."""
    validate: Callable[[Trainable[BatchT]], dict[str, float]]
    """Scores on the validation part, called ``valid_…``."""
    monitor: str
    """The score that decides which weights are best; lower is better."""
    rate: str = "steps_per_second"


@dataclass(frozen=True)
class Outcome:
    """What a training came to. The model holds the best weights."""

    epochs: int
    steps: int
    seconds: float
    rows: tuple[dict[str, float], ...]
    data_seconds: float = 0.0
    """Seconds that this process spent on making batches."""
    found_lr: float | None = None
    """The learning rate that ``--lr find`` found."""


class CheckpointStore(ABC):
    """Keeps what a training must not lose."""

    @abstractmethod
    def best(self, weights: State) -> None:
        """Keep the best weights so far."""

    @abstractmethod
    def rows(self, rows: Sequence[dict[str, float]]) -> None:
        """Keep the rows of all validations so far."""

    @abstractmethod
    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep the whole state."""

    @abstractmethod
    def last(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        """Return the last checkpoint, if there is one to go on from."""


@final
class NullStore(CheckpointStore):
    """Keeps nothing: for baselines, which are quick to train again."""

    def best(self, weights: State) -> None:
        pass

    def rows(self, rows: Sequence[dict[str, float]]) -> None:
        pass

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        pass

    def last(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        return None


@final
class FolderStore(CheckpointStore):
    """Keeps everything in a run folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checkpoint = folder / "checkpoint" / "state.safetensors"

    def best(self, weights: State) -> None:
        write_arrays(self._folder / "model.safetensors", weights)

    def rows(self, rows: Sequence[dict[str, float]]) -> None:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        write_bytes(self._folder / "metrics.jsonl", lines.encode())

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        write_checkpoint(self._checkpoint, checkpoint)

    def last(self, optimizer: torch.optim.Optimizer) -> Checkpoint | None:
        if not self._checkpoint.exists():
            return None
        checkpoint = read_checkpoint(self._checkpoint, optimizer.state_dict()["param_groups"])
        if checkpoint.best:
            self.best(checkpoint.best)
        self.rows(checkpoint.standing.rows)
        return checkpoint


def fit(
    model: Trainable[BatchT],
    course: TrainingPlan[BatchT],
    options: LearningOptions,
    keeper: CheckpointStore,
    observer: Observer,
) -> Outcome:
    """Train ``model`` until it is enough, and leave the best weights in it.

    Raises ``TrainingError`` when the loss is no longer finite, and ``Interrupted`` after Ctrl-C; in both cases the
    best weights and a checkpoint are kept first.
    """
    check_schedule(options)
    if options.lr != FIND:
        return _Training(model, course, options, keeper, observer).run()
    found = find_learning_rate(model, course.epoch(0), options)
    options = dataclasses.replace(options, lr=found)
    observer.note(f"learning rate {found:g}, where the loss falls fastest in a range test")
    outcome = _Training(model, course, options, keeper, observer).run()
    return dataclasses.replace(outcome, found_lr=found)


@final
class _Training(Generic[BatchT]):
    """One call of ``fit``: the loop's moving parts in one place."""

    def __init__(
        self,
        model: Trainable[BatchT],
        course: TrainingPlan[BatchT],
        options: LearningOptions,
        keeper: CheckpointStore,
        observer: Observer,
    ) -> None:
        self.model, self.course, self.options, self.keeper, self.observer = model, course, options, keeper, observer
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(self.parameters, options)
        self.learner = make_learner(options)
        self.limit = options.time_limit or (math.inf if options.epochs else DEFAULT_TIME_LIMIT)
        self.standing = Progress()
        self.best: State = {}
        self.carry: Carry = ()
        self.clock = _Clock()

    def run(self) -> Outcome:
        self._restore()
        self.clock.start(self.standing.elapsed)
        first = self.course.epoch(self.standing.epoch)
        total = len(first) * self.options.epochs if self.options.epochs else None
        self.observer.begin(total, self.limit)
        try:
            with deferred_interrupt() as interrupt:
                while not self.standing.finished:
                    self._epoch(lambda: interrupt.pressed)
        finally:
            self.observer.end()
        if self.best:
            self.model.load_state_dict(self.best)
        standing = self.standing
        rows = tuple(standing.rows)
        return Outcome(standing.epoch, standing.step, standing.elapsed, rows, self.clock.prepared)

    def _epoch(self, interrupted: Callable[[], bool]) -> None:
        """Walk over the rest of the current epoch."""
        standing = self.standing
        with self.clock.preparing():
            batches = self.course.epoch(standing.epoch)
        while standing.position < len(batches) and not standing.finished:
            with self.clock.preparing():
                batch = batches[standing.position]
            self._update(batch, len(batches))
            standing.position += 1
            ended = standing.position == len(batches)
            out_of_time = self.clock.seconds() >= self.limit
            last = ended and self._last_epoch()
            if (
                last
                or out_of_time
                or standing.updates >= (VALIDATE_AT_MOST_EVERY if ended else VALIDATE_AT_LEAST_EVERY)
            ):
                self._validate(standing.epoch + standing.position / len(batches))
                standing.finished = last or out_of_time or self._enough()
                self._checkpoint_unless(ended and not standing.finished)
            elif standing.step % self.options.checkpoint_every == 0:
                self._checkpoint_unless(False)
            if interrupted() and not standing.finished:
                self._stop(ended)
        if standing.position == len(batches):
            self._next_epoch()
            if not standing.updates:  # it has just been validated; shorter epochs leave it to --checkpoint-every
                self._checkpoint_unless(False)

    def _next_epoch(self) -> None:
        self.standing.epoch += 1
        self.standing.position = 0
        self.carry = ()

    def _update(self, batch: BatchT, per_epoch: int) -> None:
        """Compute the gradient of one batch and apply it."""
        standing = self.standing
        began = time.perf_counter()
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bf16"):
            loss, self.carry = self.learner.step(self.model, batch, self.carry)
        value = float(loss)
        norm = clip_norm(self.parameters, self.options.clip) if math.isfinite(value) else math.nan
        if not (math.isfinite(value) and math.isfinite(norm)):
            self._give_up(value)
        cut = clip_value(self.parameters, self.options.clip_value)
        done = (standing.epoch + standing.position / per_epoch) / self.options.epochs if self.options.epochs else 0.0
        rate = self.options.rate * schedule_factor(self.options.schedule, done, standing.falls)
        rate *= warmup_factor(self.options.warmup, standing.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        standing.step += 1
        standing.updates += 1
        standing.loss_sum += value
        standing.norm_sum += norm
        standing.clipped += cut or 0 < self.options.clip <= norm
        self.clock.count(batch.units, time.perf_counter() - began)
        self.observer.step(standing.step, standing.epoch + 1, value, self.clock.rate())

    def _validate(self, epoch: float) -> None:
        """Judge the weights, note the row, and keep the weights if they are the best so far."""
        standing = self.standing
        self.model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bf16"):
            scores = self.course.validate(self.model)
        row = {
            "step": standing.step,
            "epoch": epoch,
            "train_loss": standing.loss_sum / standing.updates,
            **scores,
            "gradient_norm": standing.norm_sum / standing.updates,
            "clipped": standing.clipped / standing.updates,
            self.course.rate: round(self.clock.rate(), 1),
        }
        standing.rows.append(row)
        standing.loss_sum = standing.norm_sum = 0.0
        standing.clipped = standing.updates = 0
        self.clock.forget_rate()
        score = scores[self.course.monitor]
        if not math.isfinite(score):
            self._give_up(score)
        if standing.milestone is None or standing.milestone - score > LEAST_GAIN * max(
            abs(standing.milestone), LEAST_SCORE
        ):
            standing.milestone, standing.stale = score, 0
        else:
            standing.stale += 1
            standing.falls += 1
        if standing.best is None or score < standing.best:
            standing.best = score
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.keeper.best(self.best)
        self.keeper.rows(standing.rows)
        self.observer.validated(row)

    def _last_epoch(self) -> bool:
        return self.options.epochs is not None and self.standing.epoch + 1 >= self.options.epochs

    def _enough(self) -> bool:
        """Tell whether validation has stopped improving; a fixed number of epochs does not ask."""
        return self.options.epochs is None and self.standing.stale >= self.options.patience

    def _restore(self) -> None:
        checkpoint = self.keeper.last(self.optimizer)
        if checkpoint is None:
            return
        try:
            self.model.load_state_dict(checkpoint.weights)
            self.optimizer.load_state_dict(checkpoint.optimizer)
        except (RuntimeError, ValueError) as error:
            raise RunError(f"checkpoint: does not fit this model ({str(error).splitlines()[0]})") from None
        self.standing, self.best, self.carry = checkpoint.standing, checkpoint.best, checkpoint.carry
        torch.set_rng_state(checkpoint.generator)

    def _checkpoint_unless(self, later: bool) -> None:
        """Write a checkpoint, unless the end of the epoch is about to write a better one."""
        if later:
            return
        self.standing.elapsed = self.clock.seconds()
        self.keeper.checkpoint(
            Checkpoint(
                self.standing,
                self.model.state_dict(),
                self.best,
                self.optimizer.state_dict(),
                self.carry,
                torch.get_rng_state(),
            )
        )

    def _stop(self, ended: bool) -> None:
        """End cleanly after Ctrl-C."""
        if ended:
            self._next_epoch()
        if not self.best:
            self.keeper.best(self.model.state_dict())
        self._checkpoint_unless(False)
        raise Interrupted(
            f"interrupted at step {self.standing.step}; the best weights are saved, --resume goes on from here"
        )

    def _give_up(self, value: float) -> None:
        """Stop on a loss or gradient that is not finite, before it reaches the weights."""
        if not self.best:
            self.keeper.best(self.model.state_dict())
        kept = "the best weights so far are kept" if self.best else "the weights before this step are kept"
        what = f"the loss is {value}" if not math.isfinite(value) else "the gradient is not finite"
        advice = f"try a lower --lr (now {self.options.rate:g}), a --clip below {self.options.clip or 1.0:g}"
        more = " or --precision fp32" if self.options.precision == "bf16" else " or another --seed"
        raise TrainingError(f"{what} at step {self.standing.step + 1}: training stopped, {kept}; {advice}{more}")


@final
class _Clock:
    """Seconds of training and units per second."""

    def __init__(self) -> None:
        self._began = 0.0
        self._units, self._seconds = 0, 0.0
        self.prepared = 0.0

    def start(self, elapsed: float) -> None:
        self._began = time.monotonic() - elapsed

    def seconds(self) -> float:
        return time.monotonic() - self._began

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Count the time of a ``with`` block as spent on making batches."""
        began = time.perf_counter()
        yield
        self.prepared += time.perf_counter() - began

    def count(self, units: int, seconds: float) -> None:
        self._units += units
        self._seconds += seconds

    def rate(self) -> float:
        return self._units / self._seconds if self._seconds else 0.0

    def forget_rate(self) -> None:
        self._units, self._seconds = 0, 0.0
