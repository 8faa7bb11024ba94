"""The training loop: one path for every model, learner and task.

while not finished:
    take the next batch                   in order, by its position in the epoch
    learner.step                          writes the gradient
    clip, set the learning rate, update
    validate after each epoch             keep the weights if they are the best so far
    write a checkpoint now and then       a kill at any instant loses at most the updates after it
"""

from __future__ import annotations

import dataclasses
import math
import time
from contextlib import nullcontext
from typing import Generic, final

import torch

from seriatim.errors import Interrupted, RunError, TrainingError, UsageError
from seriatim.learning.averaging import WeightAverage
from seriatim.learning.checkpoint import Checkpoint, Progress, State
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.clipping import clip_norm, clip_value
from seriatim.learning.clock import Clock
from seriatim.learning.faults import starting_faults
from seriatim.learning.interrupt import Interrupt, deferred_interrupt
from seriatim.learning.learners import make_learner
from seriatim.learning.observer import Observer
from seriatim.learning.optimization import make_optimizer, schedule_factor, warmup_factor
from seriatim.learning.options import LearningOptions
from seriatim.learning.plan import OnValidation, Outcome, TrainingPlan
from seriatim.learning.range_test import find_learning_rate
from seriatim.learning.signals import Signals
from seriatim.learning.team import Alone, Team, running_statistics
from seriatim.learning.training_end import TrainingEnd
from seriatim.models.contract import BatchT, Carry, Trainable
from seriatim.options import FIND


def fit(
    model: Trainable[BatchT],
    plan: TrainingPlan[BatchT],
    options: LearningOptions,
    store: CheckpointStore,
    observer: Observer,
    on_validation: OnValidation | None = None,
    team: Team | None = None,
) -> Outcome:
    """Train ``model`` until validation stops improving or a limit is reached, and leave the best weights in it.

    ``on_validation`` receives each row of scores; training ends when it returns true.

    Raises ``TrainingError`` if the loss or gradient is not finite, and ``Interrupted`` after Ctrl-C. In both cases the
    best weights are saved first; after Ctrl-C a checkpoint too.

    With a ``team`` of several processes, all of them call this function, with the same plan and options. ``store`` and
    ``observer`` belong to rank 0. Raises ``UsageError`` for ``--lr find``.
    """
    team = team or Alone()
    if options.lr != FIND:
        return _Training(model, plan, options, store, observer, on_validation, team).run()
    if team.size > 1:
        raise UsageError("lr: find does not work on several processes; find the rate on one, and give it")
    rate = find_learning_rate(model, plan.epoch(0), options)
    options = dataclasses.replace(options, lr=rate)
    observer.note(f"learning rate {rate:g}, where the loss falls fastest in a range test")
    outcome = _Training(model, plan, options, store, observer, on_validation, team).run()
    return dataclasses.replace(outcome, found_lr=rate)


@final
class _Training(Generic[BatchT]):
    """One call of ``fit``, with its moving parts in one place."""

    def __init__(
        self,
        model: Trainable[BatchT],
        plan: TrainingPlan[BatchT],
        options: LearningOptions,
        store: CheckpointStore,
        observer: Observer,
        on_validation: OnValidation | None,
        team: Team,
    ) -> None:
        self.model, self.plan, self.options, self.store, self.observer = model, plan, options, store, observer
        self.team = team
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.statistics = running_statistics(model)
        self.optimizer = make_optimizer(self.parameters, options)
        self.signals = Signals(model, self.optimizer)
        self.last_norm = 0.0
        """The norm of the last update's gradient, before it was clipped."""
        self.average = WeightAverage(model, options.average) if options.average else None
        self.learner = make_learner(options)
        self.on_validation = on_validation
        self.end = TrainingEnd(plan, options)
        self.progress = Progress()
        self.best_weights: State = {}
        self.carry: Carry = ()
        self.clock = Clock()
        self.now = 0.0
        """Seconds of training so far, as rank 0 measured them last. Decisions use them, so that all ranks agree."""
        self.is_interrupted = False
        """Whether a user pressed Ctrl-C on any rank, so that all stop after the same update."""

    def run(self) -> Outcome:
        self._restore()
        self.clock.start(self.progress.elapsed)
        self.now = self.clock.seconds()
        batches = len(self.plan.epoch(self.progress.epoch)) if self.options.epochs else 0
        self.observer.begin(self.end.total_updates(self.progress, batches), self.end.time_limit)
        try:
            with deferred_interrupt() as interrupt:
                while not self.progress.finished:
                    self._train_epoch(interrupt)
        finally:
            self.observer.end()
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        progress = self.progress
        return Outcome(
            progress.epoch,
            progress.step,
            progress.elapsed,
            tuple(progress.rows),
            self.clock.data_seconds,
            limited_to=self.end.limited_to(progress),
        )

    def _train_epoch(self, interrupt: Interrupt) -> None:
        """Train on the batches of the current epoch that are left."""
        progress = self.progress
        with self.clock.making_data():
            batches = self.plan.epoch(progress.epoch)
        epoch_ends = progress.position == len(batches)
        if epoch_ends:  # a checkpoint of an older version may be at the end of an epoch
            self._begin_next_epoch()
        while not (epoch_ends or progress.finished):
            with self.clock.making_data():
                batch = batches[progress.position]
            self._update(batch, len(batches), interrupt)
            progress.position += 1
            epoch_ends = progress.position == len(batches)

            is_last = (epoch_ends and self.end.is_last_epoch(progress)) or self.end.time_is_up(progress, self.now)
            validates = is_last or self.end.validation_is_due(progress, self.now, epoch_ends=epoch_ends)
            if validates:
                with self.clock.validating():
                    row = self._validate(progress.epoch + progress.position / len(batches))
                if self.end.follows_clock and not is_last:
                    note = self.end.fix(progress, len(batches), self.clock, self.team)
                    if note:
                        self.observer.note(note)
                progress.finished = self._user_stops(row) or is_last or self.end.has_stopped_improving(progress)
            if epoch_ends:
                self._begin_next_epoch()
            if validates or progress.step % self.options.checkpoint_every == 0:
                self._save_checkpoint()
            is_interrupted = interrupt.pressed if self.team.size == 1 else self.is_interrupted
            if is_interrupted and not progress.finished:
                self._stop_after_interrupt()

    def _update(self, batch: BatchT, batches_per_epoch: int, interrupt: Interrupt) -> None:
        """Compute the gradient of one batch and apply it."""
        progress = self.progress
        start = time.perf_counter()
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        value = self._compute_gradient(batch, interrupt)
        norm = clip_norm(self.parameters, self.options.clip) if math.isfinite(value) else math.nan
        if not (math.isfinite(value) and math.isfinite(norm)):
            self._give_up(value)
        value_was_clipped = clip_value(self.parameters, self.options.clip_value)
        norm_was_clipped = 0 < self.options.clip <= norm
        learning_rate = self._learning_rate(progress.epoch + progress.position / batches_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()

        progress.step += 1
        if self.average is not None:
            self.average.update(progress.step)
        progress.updates += 1
        progress.loss_sum += value
        progress.norm_sum += norm
        self.last_norm = norm
        progress.clipped += value_was_clipped or norm_was_clipped
        self.clock.count(batch.units, time.perf_counter() - start)
        self.observer.step(progress.step, progress.epoch + 1, value, self.clock.rate())

    def _compute_gradient(self, batch: BatchT, interrupt: Interrupt) -> float:
        """Write the gradient of ``batch`` into ``.grad``, and return the mean loss."""
        rows = self.team.rows(batch)
        weight = self.team.weight(self.model, rows, batch)
        with self._precision():
            loss, self.carry = self.learner.step(self.model, rows, self.carry)
        seconds = self.clock.seconds() if self.team.leads else 0.0
        shared = (float(loss) * weight, seconds, float(interrupt.pressed))
        value, self.now, presses = self.team.add_gradients(self.parameters, weight, shared, self.statistics)
        self.is_interrupted = presses > 0
        return value

    def _learning_rate(self, epoch: float) -> float:
        """Return the learning rate after ``epoch`` epochs."""
        options, progress = self.options, self.progress
        share_done = self.end.share_done(progress, epoch)
        factor = schedule_factor(options.schedule, share_done, progress.lr_drops)
        return options.rate * factor * warmup_factor(options.warmup, progress.step)

    def _validate(self, epoch: float) -> dict[str, float]:
        """Score the weights after ``epoch`` epochs, keep them if they are the best so far, and return their row."""
        progress = self.progress
        self.model.eval()
        self._copy_from_leader()
        with torch.no_grad(), self._precision(), self.signals.reading():
            scores = self.team.decide(lambda: self.plan.validate(self.model))
        is_averaged = False
        if self.average is not None:
            with torch.no_grad(), self._precision(), self.average.in_use():
                scores_of_average = self.team.decide(lambda: self.plan.validate(self.model))
            is_averaged = scores_of_average[self.plan.monitor] < scores[self.plan.monitor]
            scores = {**(scores_of_average if is_averaged else scores), "averaged": float(is_averaged)}
        row = {
            "step": progress.step,
            "epoch": epoch,
            "train_loss": progress.loss_sum / progress.updates,
            **scores,
            "gradient_norm": progress.norm_sum / progress.updates,
            "clipped": progress.clipped / progress.updates,
            self.plan.rate: round(self.clock.rate(), 1),
            **self.signals.row(self.last_norm),
        }
        progress.rows.append(row)
        progress.loss_sum = progress.norm_sum = 0.0
        progress.clipped = progress.updates = 0
        self.clock.reset_rate()

        score = scores[self.plan.monitor]
        if not math.isfinite(score):
            self._give_up(score)
        progress.record_score(score)
        if progress.best is None or score < progress.best:
            progress.best = score
            with self.average.in_use() if self.average is not None and is_averaged else nullcontext():
                self.best_weights = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.store.save_best(self.best_weights)
        self.store.save_rows(progress.rows)
        self.observer.validated(row)
        for fault in starting_faults(progress.rows, self.options):
            self.observer.note(f"update {progress.step}: {fault}")
        return dict(row)

    def _user_stops(self, row: dict[str, float]) -> bool:
        """Return whether ``on_validation`` of rank 0 ends the training."""
        return self.team.decide(lambda: self.on_validation is not None and bool(self.on_validation(row)))

    def _begin_next_epoch(self) -> None:
        self.progress.epoch += 1
        self.progress.position = 0
        self.carry = ()

    def _copy_from_leader(self) -> None:
        """Give all processes the weights of rank 0, and their average."""
        averages = () if self.average is None else self.average.weights.values()
        self.team.copy_from_leader((*self.model.state_dict().values(), *averages))

    def _precision(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bf16")

    def _restore(self) -> None:
        """Continue from the last checkpoint, if there is one."""
        checkpoint = self.team.decide(lambda: self.store.load_checkpoint(self.optimizer))
        if checkpoint is None:
            self._copy_from_leader()
            self.team.seed_own_draws()
            return
        try:
            self.model.load_state_dict(checkpoint.weights)
            self.optimizer.load_state_dict(checkpoint.optimizer)
            if self.average is not None:
                self.average = WeightAverage(self.model, self.options.average)
                if checkpoint.average:
                    self.average.load(checkpoint.average)
        except (RuntimeError, ValueError) as error:
            raise RunError(f"checkpoint: does not fit this model ({str(error).splitlines()[0]})") from None
        self.progress, self.best_weights = checkpoint.progress, checkpoint.best
        self.carry = self.team.own_carry((checkpoint.carry, *checkpoint.other_carries))
        generators = (checkpoint.generator, *checkpoint.other_generators)
        if self.team.rank < len(generators):
            torch.set_rng_state(generators[self.team.rank])
        else:
            self.team.seed_own_draws()

    def _save_checkpoint(self) -> None:
        self.progress.elapsed = self.clock.seconds()
        parts = self.team.gather((self.carry, torch.get_rng_state()))
        if self.team.leads:
            checkpoint = Checkpoint(
                progress=self.progress,
                weights=self.model.state_dict(),
                best=self.best_weights,
                optimizer=self.optimizer.state_dict(),
                carry=parts[0][0],
                generator=parts[0][1],
                other_carries=tuple(carry for carry, _ in parts[1:]),
                other_generators=tuple(generator for _, generator in parts[1:]),
                average={} if self.average is None else self.average.weights,
            )
            self.store.save_checkpoint(checkpoint)
        if self.team.on_checkpoint is not None:
            self.team.on_checkpoint()

    def _stop_after_interrupt(self) -> None:
        """Save everything and raise ``Interrupted``."""
        if not self.best_weights:
            self.store.save_best(self.model.state_dict())
        self._save_checkpoint()
        raise Interrupted(
            f"interrupted at step {self.progress.step}; the best weights are saved, --resume goes on from here"
        )

    def _give_up(self, value: float) -> None:
        """Stop because of a loss, score or gradient that is not finite, before it reaches the weights."""
        if not self.best_weights:
            self.store.save_best(self.model.state_dict())
        message = "the best weights so far are kept" if self.best_weights else "the weights before this step are kept"
        cause = f"the loss is {value}" if not math.isfinite(value) else "the gradient is not finite"
        advice = f"try a lower --lr (now {self.options.rate:g}), a --clip below {self.options.clip or 1.0:g}"
        more = " or --precision fp32" if self.options.precision == "bf16" else " or another --seed"
        raise TrainingError(f"{cause} at step {self.progress.step + 1}: training stopped, {message}; {advice}{more}")
