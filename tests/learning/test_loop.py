"""The loop: when it stops, what it saves, and that a resumed training equals an uninterrupted one."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seriatim.errors import Interrupted, RunError, TrainingError
from seriatim.learning.checkpoint_store import FolderStore, NullStore
from seriatim.learning.loop import fit
from seriatim.learning.observer import Observer, Silent
from seriatim.learning.options import LearningOptions
from seriatim.learning.plan import TrainingPlan
from seriatim.models.contract import Carry, Trainable
from seriatim.storage import read_arrays

STEPS = 50
"""Updates per epoch of the toy course; the loop validates no more often."""


@dataclass(frozen=True)
class Numbers:
    inputs: Tensor
    targets: Tensor
    units: int = 8


class Leaky(Trainable[Numbers]):
    """A leaky integrator with dropout: small, but it carries state and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.leak = nn.Parameter(torch.tensor(0.1))
        self.layer = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 1))

    def loss(self, batch: Numbers, carry: Carry) -> tuple[Tensor, Carry]:
        state = carry[0] if carry else torch.zeros(8, 3)
        state = torch.sigmoid(self.leak) * state + batch.inputs
        return (self.layer(state).squeeze(-1) - batch.targets).square().mean(), (state,)


def course(steps: int = STEPS) -> TrainingPlan[Numbers]:
    draw = torch.Generator().manual_seed(5)
    batches = []
    for _ in range(steps):
        inputs = torch.randn(8, 3, generator=draw)
        batches.append(Numbers(inputs, inputs.sum(1)))

    def validate(model: Trainable[Numbers]) -> dict[str, float]:
        return {"valid_loss": sum(float(model.loss(batch, ())[0]) for batch in batches) / len(batches)}

    return TrainingPlan(epoch=lambda number: batches, validate=validate, monitor="valid_loss")


def trained(options: LearningOptions, folder: Path | None = None, observer: Observer | None = None) -> Leaky:
    torch.manual_seed(options.seed)
    model = Leaky()
    keeper = FolderStore(folder) if folder else NullStore()
    fit(model, course(), options, keeper, observer or Silent())
    return model


def assert_bit_equal(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


class StopAt(Observer):
    """Does something at one update."""

    def __init__(self, step: int, action: object) -> None:
        self.at, self.action = step, action

    def begin(self, total_steps: int | None, time_limit: float) -> None: ...

    def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
        if step == self.at:
            assert callable(self.action)
            self.action()

    def validated(self, row: Mapping[str, object]) -> None: ...

    def baseline(self, name: str) -> None: ...

    def note(self, text: str) -> None: ...

    def end(self) -> None: ...


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["constant", "plateau", "cosine", "linear"])
def test_loss_falls(optimizer: str, schedule: str) -> None:
    options = LearningOptions(epochs=6, lr=0.02, optimizer=optimizer, schedule=schedule)
    torch.manual_seed(0)
    model = Leaky()
    outcome = fit(model, course(), options, NullStore(), Silent())
    assert outcome.epochs == 6
    assert outcome.steps == 6 * STEPS
    assert outcome.rows[-1]["train_loss"] < 0.7 * outcome.rows[0]["train_loss"]


def test_same_seed_gives_same_bits() -> None:
    options = LearningOptions(epochs=3, learner="tbptt")
    assert_bit_equal(trained(options).state_dict(), trained(options).state_dict())
    other = trained(LearningOptions(epochs=3, learner="tbptt", seed=1))
    assert not torch.equal(other.leak, trained(options).leak)


def test_training_stops_when_validation_stops_improving() -> None:
    options = LearningOptions(lr=1e-30, patience=2)
    torch.manual_seed(0)
    outcome = fit(Leaky(), course(), options, NullStore(), Silent())
    assert outcome.epochs == 3  # the first is the best, two more bring nothing


def test_model_gets_the_best_weights(tmp_path: Path) -> None:
    rows: list[float] = []
    torch.manual_seed(0)
    model = Leaky()
    outcome = fit(model, course(), LearningOptions(epochs=8, lr=0.3), FolderStore(tmp_path), Silent())
    rows = [row["valid_loss"] for row in outcome.rows]
    assert np.argmin(rows) < len(rows) - 1, "this test wants a training that gets worse at the end"
    model.eval()
    with torch.no_grad():
        assert course().validate(model)["valid_loss"] == min(rows)
    assert_bit_equal(
        model.state_dict(), {k: torch.from_numpy(v) for k, v in read_arrays(tmp_path / "model.safetensors").items()}
    )
    stored = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["valid_loss"] for row in stored] == rows
    assert {"step", "epoch", "train_loss", "gradient_norm", "clipped", "steps_per_second"} <= stored[0].keys()


def test_short_epochs_share_a_validation() -> None:
    torch.manual_seed(0)
    outcome = fit(Leaky(), course(20), LearningOptions(epochs=7), NullStore(), Silent())
    assert [row["epoch"] for row in outcome.rows] == [3.0, 6.0, 7.0]


def test_time_limit_ends_training() -> None:
    torch.manual_seed(0)
    outcome = fit(Leaky(), course(), LearningOptions(time_limit=1e-9), NullStore(), Silent())
    assert outcome.steps == 1


def test_clipping_is_counted() -> None:
    torch.manual_seed(0)
    clipped = fit(Leaky(), course(), LearningOptions(epochs=1, clip=1e-9), NullStore(), Silent())
    unclipped = fit(Leaky(), course(), LearningOptions(epochs=1, clip=0.0), NullStore(), Silent())
    assert clipped.rows[0]["clipped"] == 1.0
    assert unclipped.rows[0]["clipped"] == 0.0
    assert unclipped.rows[0]["gradient_norm"] > 0


@pytest.mark.parametrize(("learner", "average"), [("bptt", 0.0), ("tbptt", 0.0), ("tbptt", 0.9)])
@pytest.mark.parametrize("stopped_at", [1, 37, 50, 51, 120, 149])
def test_resume_after_ctrl_c_is_bit_equal(tmp_path: Path, stopped_at: int, learner: str, average: float) -> None:
    options = LearningOptions(epochs=3, learner=learner, schedule="plateau", lr=0.05, average=average)
    whole = trained(options, tmp_path / "whole")
    with pytest.raises(Interrupted):
        trained(options, tmp_path / "cut", StopAt(stopped_at, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert (tmp_path / "cut" / "model.safetensors").exists()
    began: list[int] = []
    first = StopAt(stopped_at + 1, lambda: began.append(1))
    assert_bit_equal(whole.state_dict(), trained(options, tmp_path / "cut", first).state_dict())
    assert began == [1]  # it continued with the next update
    for name in ("model.safetensors",):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from test_loop import StopAt, trained
    from seriatim.learning.options import LearningOptions

    options = LearningOptions(epochs=3, learner="tbptt", lr=0.05, checkpoint_every={checkpoint_every})
    trained(options, Path({folder!r}), StopAt({step}, lambda: os.kill(os.getpid(), signal.SIGKILL)))
"""


@pytest.mark.parametrize(
    ("step", "checkpoint_every", "begins_at"), [(30, 500, 1), (33, 10, 31), (50, 500, 1), (51, 500, 51), (118, 20, 101)]
)
def test_resume_after_a_kill_in_mid_epoch_is_bit_equal(
    tmp_path: Path, step: int, checkpoint_every: int, begins_at: int
) -> None:
    """A killed process restarts at the update after its last checkpoint, and ends with the same bits."""
    options = LearningOptions(epochs=3, learner="tbptt", lr=0.05, checkpoint_every=checkpoint_every)
    whole = trained(options, tmp_path / "whole")
    script = textwrap.dedent(KILLED).format(
        tests=str(Path(__file__).parent), folder=str(tmp_path / "cut"), step=step, checkpoint_every=checkpoint_every
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    steps: list[int] = []

    class Watch(StopAt):
        def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
            steps.append(step)

    again = trained(options, tmp_path / "cut", Watch(0, None))
    assert steps == list(range(begins_at, 3 * STEPS + 1))
    assert_bit_equal(whole.state_dict(), again.state_dict())
    assert (tmp_path / "whole/model.safetensors").read_bytes() == (tmp_path / "cut/model.safetensors").read_bytes()


def test_resume_with_other_random_state_differs(tmp_path: Path) -> None:
    """The bit-equality tests above can fail: with another random state after the stop, the weights differ."""
    options = LearningOptions(epochs=3, lr=0.05)
    whole = trained(options)
    with pytest.raises(Interrupted):
        trained(options, tmp_path, StopAt(4, lambda: os.kill(os.getpid(), signal.SIGINT)))
    again = trained(options, tmp_path, StopAt(5, lambda: torch.manual_seed(99)))
    assert not torch.equal(whole.layer[0].weight, again.layer[0].weight)


class Exploding(Leaky):
    """Gives a loss that is not finite from its fifth training batch on."""

    def __init__(self, bad: float) -> None:
        super().__init__()
        self.bad, self.calls = bad, 0

    def loss(self, batch: Numbers, carry: Carry) -> tuple[Tensor, Carry]:
        loss, carry = super().loss(batch, carry)
        self.calls += self.training
        return (loss * self.bad if self.training and self.calls > 4 else loss), carry


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_loss_that_is_not_finite_stops_training_and_keeps_good_weights(tmp_path: Path, bad: float) -> None:
    model = Exploding(bad)
    with pytest.raises(TrainingError, match=r"at step 5: training stopped, .* kept; try a lower --lr"):
        fit(model, course(), LearningOptions(epochs=2), FolderStore(tmp_path), Silent())
    weights = read_arrays(tmp_path / "model.safetensors")
    assert all(np.isfinite(array).all() for array in weights.values())


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    options = LearningOptions(epochs=2)
    trained(options, tmp_path)
    file = tmp_path / "checkpoint" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RunError, match="damaged"):
        trained(options, tmp_path)


def test_bf16_trains_close_to_fp32() -> None:
    options = LearningOptions(epochs=10, lr=0.05, learner="tbptt")
    bf16_options = LearningOptions(epochs=10, lr=0.05, learner="tbptt", precision="bf16")
    model, other = trained(options), trained(bf16_options)
    assert other.leak.dtype == torch.float32
    assert torch.allclose(model.leak, other.leak, atol=0.05)
    assert not torch.equal(model.leak, other.leak)
