"""Learners by name, their options, clipping, and the loop with each of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seriatim.errors import Interrupted, UsageError
from seriatim.learning import options as learning_options
from seriatim.learning.checkpoint_store import FolderStore, NullStore
from seriatim.learning.clipping import clip_norm, clip_value
from seriatim.learning.learners import LEARNERS, make_learner
from seriatim.learning.loop import fit
from seriatim.learning.observer import Silent
from seriatim.learning.options import LearningOptions, truncation_of
from seriatim.learning.plan import TrainingPlan
from seriatim.nn.layers import LSTM
from seriatim.options import fill, size


def test_every_learner_is_an_option() -> None:
    assert tuple(LEARNERS) == learning_options.LEARNERS


@pytest.mark.parametrize(
    ("arguments", "expected"), [(7, (7, 7)), ("7", (7, 7)), ("3,9", (3, 9)), ((9, 3), (9, 3)), ([5], (5, 5))]
)
def test_truncation_is_one_number_or_two(arguments: Any, expected: tuple[int, int]) -> None:
    """One number also as a whole number: what older run folders hold."""
    assert truncation_of(fill(LearningOptions, {"learner": "tbptt", "truncation": arguments})) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"truncation": "1,2,3", "learner": "tbptt"}, "truncation: got '1,2,3', wanted k1,k2 or one number for both"),
        ({"truncation": "5,9", "learner": "rtrl"}, "truncation: k2 is for tbptt, not rtrl"),
        ({"truncation": "0,9"}, "truncation: got 0, wanted at least 1"),
        ({"memory": "2 gallons"}, "memory: got '2 gallons', wanted a size such as 800kB, 500MB or 2GB"),
    ],
)
def test_invalid_options_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        truncation_of(fill(LearningOptions, arguments))


def test_memory_sizes_are_parsed() -> None:
    assert [size(text) for text in ("12", "800kB", "500MB", "1.5 GB", "2G")] == [12, 8e5, 5e8, 1.5e9, 2e9]


def test_clipping_by_norm_and_by_value() -> None:
    weights = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(3))]
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([-4.0])
    assert clip_norm(weights, 0.0) == 5.0
    assert weights[1].grad.item() == -4.0
    assert clip_norm(weights, 2.5) == 5.0
    torch.testing.assert_close(weights[1].grad, torch.tensor([-2.0]))
    assert not clip_value(weights, 0.0)
    assert clip_value(weights, 1.8)
    torch.testing.assert_close(weights[0].grad, torch.tensor([1.5, 0.0]))
    torch.testing.assert_close(weights[1].grad, torch.tensor([-1.8]))
    assert not clip_value(weights, 1.9)


def course(stream: Any) -> TrainingPlan:
    batches = [stream(3, 2, seed=seed) for seed in range(8)]
    return TrainingPlan(
        epoch=lambda number: batches,
        validate=lambda model: {"valid_loss": float(model.loss(batches[0], ())[0])},
        monitor="valid_loss",
    )


def small(network: Any) -> Any:
    torch.manual_seed(3)
    return network(LSTM(3, 4, dtype=torch.float64))


@pytest.mark.parametrize("name", LEARNERS)
def test_resume_is_bit_equal_with_every_learner(name: str, tmp_path: Path, network: Any, stream: Any) -> None:
    """The memory of a learner is in the carry, and UORO's draws depend on the random state. A checkpoint saves both."""

    class Stop(Silent):  # type: ignore[misc]
        def step(self, step: int, epoch: int, loss: float, units_per_second: float) -> None:
            if step == 5:
                os.kill(os.getpid(), signal.SIGINT)

    options = LearningOptions(epochs=1, learner=name, lr=0.01, truncation=(3,))
    whole = small(network)
    torch.manual_seed(1)
    fit(whole, course(stream), options, NullStore(), Silent())
    cut = small(network)
    torch.manual_seed(1)
    with pytest.raises(Interrupted):
        fit(cut, course(stream), options, FolderStore(tmp_path), Stop())
    again = small(network)
    fit(again, course(stream), options, FolderStore(tmp_path), Silent())
    for key, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def test_clipping_by_value_is_counted(network: Any, stream: Any) -> None:
    rows = [
        fit(small(network), course(stream), LearningOptions(epochs=1, clip=0, clip_value=value), NullStore(), Silent())
        .rows[0]
        for value in (1e-9, 1e9, 0.0)
    ]  # fmt: skip
    assert [row["clipped"] for row in rows] == [1.0, 0.0, 0.0]
    assert rows[1]["gradient_norm"] == rows[2]["gradient_norm"] > 0


def test_make_learner_takes_its_options() -> None:
    assert vars(make_learner(LearningOptions(learner="tbptt", truncation=(3, 8)))) == {"k1": 3, "k2": 8}
    assert vars(make_learner(LearningOptions(learner="recompute", memory=5e6)))["memory"] == 5e6
