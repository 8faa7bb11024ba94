"""Schedules that end at the time limit, with a clock that the tests move."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import pytest
import torch
from torch import Tensor, nn

from seriatim.errors import Interrupted
from seriatim.learning import clock, loop
from seriatim.learning.checkpoint_store import CheckpointStore, FolderStore, NullStore
from seriatim.learning.loop import fit
from seriatim.learning.observer import Observer, Silent
from seriatim.learning.options import LearningOptions
from seriatim.learning.plan import Outcome, TrainingPlan
from seriatim.models.contract import Carry, Trainable

VALIDATION = 5.0
"""Seconds of a validation on the clock of the tests."""


@dataclass(frozen=True)
class Points:
    inputs: Tensor
    targets: Tensor
    units: int = 8


class Regression(Trainable[Points]):
    """A small network with dropout, so that it draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 1))

    def loss(self, batch: Points, carry: Carry) -> tuple[Tensor, Carry]:
        return (self.layer(batch.inputs).squeeze(-1) - batch.targets).square().mean(), ()


class AtStep(Silent):
    """An observer that calls a function at one update."""

    def __init__(self, step: int, action: Callable[[], None]) -> None:
        self.at, self.action = step, action

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        if step == self.at:
            self.action()


class FakeTime:
    """A clock that stands still unless a batch is made or weights are validated."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seconds_per_update = 0.5

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


class TimedBatches(Sequence[Points]):
    """Batches whose making takes the time of an update."""

    def __init__(self, batches: Sequence[Points], time: FakeTime) -> None:
        self.batches, self.time = batches, time

    def __len__(self) -> int:
        return len(self.batches)

    @overload
    def __getitem__(self, index: int) -> Points: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Points]: ...
    def __getitem__(self, index: int | slice) -> Points | Sequence[Points]:
        self.time.now += self.time.seconds_per_update
        return self.batches[index]


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """The clock of the training loop."""
    fake = FakeTime()
    for module in (clock, loop):
        monkeypatch.setattr(module, "time", fake)
    return fake


@pytest.fixture
def optimizers(monkeypatch: pytest.MonkeyPatch) -> list[torch.optim.Optimizer]:
    """All optimizers that are made from now on."""
    created = []

    def make(*arguments: object) -> torch.optim.Optimizer:
        created.append(original(*arguments))  # type: ignore[arg-type]
        return created[-1]

    original = loop.make_optimizer
    monkeypatch.setattr(loop, "make_optimizer", make)
    return created


def timed_plan(time: FakeTime, steps: int, updates: int | None = None) -> TrainingPlan[Points]:
    draw = torch.Generator().manual_seed(5)
    inputs = torch.randn(steps, 8, 3, generator=draw)
    batches = [Points(x, x.sum(1)) for x in inputs]

    def validate(model: Trainable[Points]) -> dict[str, float]:
        time.now += VALIDATION
        return {"valid_loss": sum(float(model.loss(batch, ())[0]) for batch in batches) / len(batches)}

    return TrainingPlan(lambda epoch: TimedBatches(batches, time), validate, "valid_loss", updates=updates)


def train(
    time: FakeTime, store: CheckpointStore | None = None, observer: Observer | None = None, steps: int = 50,
    updates: int | None = None, **options: object,
) -> tuple[Regression, Outcome]:  # fmt: skip
    torch.manual_seed(0)
    model = Regression()
    limited = LearningOptions(**{"schedule": "cosine", "time_limit": 1000.0, "lr": 0.01, **options})  # type: ignore[arg-type]
    return model, fit(model, timed_plan(time, steps, updates), limited, store or NullStore(), observer or Silent())


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_learning_rate_reaches_zero_at_time_limit(
    time: FakeTime, optimizers: list[torch.optim.Optimizer], schedule: str
) -> None:
    _, outcome = train(time, schedule=schedule, patience=1000)
    assert outcome.rows[0]["step"] == 50
    # The estimate at 30 s: an update and its share of a validation take 0.6 s, the last validation 5 s.
    assert outcome.steps == 50 + int((1000 - 30 - 5) / 0.6)
    assert 990 < time.now <= 1000
    assert optimizers[0].param_groups[0]["lr"] < 0.002 * 0.01


def test_resumed_training_ends_at_the_same_update(tmp_path: Path, time: FakeTime) -> None:
    whole, outcome = train(time, FolderStore(tmp_path / "whole"), patience=1000)
    time.now = 0.0
    stop = AtStep(130, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted):
        train(time, FolderStore(tmp_path / "cut"), stop, patience=1000)
    time.seconds_per_update = 0.1  # a faster machine
    again, resumed = train(time, FolderStore(tmp_path / "cut"), patience=1000)
    assert resumed.steps == outcome.steps
    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())


def test_faster_machine_fits_more_updates(time: FakeTime) -> None:
    """The test above can fail: without the stored number the faster machine makes more updates."""
    _, slow = train(time, patience=1000)
    time.now, time.seconds_per_update = 0.0, 0.1
    _, fast = train(time, patience=1000)
    assert fast.steps > 2 * slow.steps


@pytest.mark.parametrize("updates", [30, 170])
def test_schedule_ends_at_the_updates_of_the_plan(
    time: FakeTime, optimizers: list[torch.optim.Optimizer], updates: int
) -> None:
    """Even if validation does not improve: the patience is for schedules without an end."""
    _, outcome = train(time, updates=updates, lr=1e-30, patience=1)
    assert outcome.steps == updates
    assert optimizers[0].param_groups[0]["lr"] < 0.003 * 1e-30  # the last of 30 steps of a cosine


def test_time_limit_may_end_a_plan_before_its_updates(time: FakeTime) -> None:
    _, outcome = train(time, updates=5000, patience=1000)
    assert outcome.steps == 50 + int((1000 - 30 - 5) / 0.6)
    assert outcome.limited_to == f"{outcome.steps:,} of 5,000 updates"


def test_outcome_says_what_the_time_limit_allowed(time: FakeTime) -> None:
    """And nothing where the training came to its own end, or where its schedule ends at the limit by design."""
    assert train(time, epochs=100, time_limit=100.0)[1].limited_to == "3.4 of 100 epochs"
    endless = train(time, schedule="constant", patience=1000, time_limit=100.0)[1]
    assert endless.limited_to == "the first 3.4 epochs, still improving"
    assert train(time, epochs=2)[1].limited_to == ""
    assert train(time, updates=30)[1].limited_to == ""
    assert train(time, patience=1000)[1].limited_to == ""
    assert train(time, schedule="constant", lr=1e-30, patience=1)[1].limited_to == ""


def test_epochs_and_other_schedules_ignore_the_updates_of_the_plan(time: FakeTime) -> None:
    assert train(time, updates=30, epochs=2)[1].steps == 100
    assert train(time, updates=30, schedule="constant", patience=1, time_limit=60.0)[1].steps >= 100


def test_long_epoch_is_validated_early_for_the_estimate(time: FakeTime) -> None:
    _, outcome = train(time, steps=900, patience=1000)
    assert outcome.rows[0]["step"] == 60
    assert 950 < time.now <= 1000


def test_training_without_improvement_cools_down_and_ends(
    time: FakeTime, optimizers: list[torch.optim.Optimizer]
) -> None:
    _, outcome = train(time, lr=1e-30, patience=2)
    assert outcome.steps == 150 + 150 // 4  # the first validation is the best, two more bring nothing
    assert optimizers[0].param_groups[0]["lr"] < 1e-3 * 1e-30


def test_slow_updates_after_the_estimate_exceed_the_limit_by_a_quarter_at_most(time: FakeTime) -> None:
    def slow_down() -> None:
        time.seconds_per_update = 10.0

    train(time, observer=AtStep(60, slow_down), patience=1000)
    assert 1250 <= time.now < 1250 + 10 + VALIDATION


def test_fixed_epochs_decide_the_end_of_the_schedule(time: FakeTime, optimizers: list[torch.optim.Optimizer]) -> None:
    _, outcome = train(time, epochs=3)
    assert outcome.steps == 150
    assert optimizers[0].param_groups[0]["lr"] < 1e-3 * 0.01
