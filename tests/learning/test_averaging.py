"""The moving average of the weights: its numbers, and its choice by validation. ``test_loop`` resumes with one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from seriatim.learning.averaging import WeightAverage
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.loop import fit
from seriatim.learning.observer import Silent
from seriatim.learning.options import LearningOptions
from seriatim.learning.plan import Outcome, TrainingPlan
from seriatim.models.contract import Carry, Trainable


@dataclass(frozen=True)
class Numbers:
    targets: Tensor
    units: int = 4


class Point(Trainable[Numbers]):
    """One number, which a constant learning rate lets jump about the mean of its noisy targets."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("counter", torch.tensor(7.0))

    def loss(self, batch: Numbers, carry: Carry) -> tuple[Tensor, Carry]:
        return (self.place - batch.targets).square().mean(), ()


def trained(average: float, *, noise: float = 1.0, lr: float = 0.4) -> tuple[Point, Outcome]:
    draws = [torch.randn(4, generator=torch.Generator().manual_seed(seed)) for seed in range(200)]
    batches = [Numbers(3 + noise * draw) for draw in draws]
    plan = TrainingPlan(
        epoch=lambda number: batches,
        validate=lambda model: {"valid_loss": (model.place - 3).square().item()},
        monitor="valid_loss",
    )
    model = Point()
    options = LearningOptions(epochs=2, lr=lr, optimizer="sgd", average=average, clip=0.0)
    return model, fit(model, plan, options, NullStore(), Silent())


def test_average_is_a_moving_average() -> None:
    model = Point()
    average = WeightAverage(model, 0.5)
    expected = 0.0
    for number, place in enumerate([1.0, 5.0, -2.0, 4.0, 8.0, 1.0, 0.0, 3.0, 2.0, 1.0], 1):
        with torch.no_grad():
            model.place.fill_(place)
        average.update(number)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * place
    assert float(average.weights["place"]) == pytest.approx(expected, rel=1e-6)
    with average.in_use():
        assert model.place.item() == pytest.approx(expected, rel=1e-6)
        assert model.counter.item() == 7.0
    assert model.place.item() == 1.0


def test_average_is_kept_where_it_validates_better() -> None:
    plain, without = trained(0.0)
    averaged, outcome = trained(0.98)
    assert all(row["averaged"] == 1.0 for row in outcome.rows) and "averaged" not in without.rows[0]
    best = min(row["valid_loss"] for row in outcome.rows)
    assert (averaged.place - 3).square().item() == pytest.approx(best)
    assert best < 0.1 * min(row["valid_loss"] for row in without.rows)
    assert abs(plain.place.item() - 3) > abs(averaged.place.item() - 3)


def test_average_is_not_kept_where_it_validates_worse() -> None:
    model, outcome = trained(0.98, noise=0.0, lr=0.001)  # the weights approach the target, and the average is behind
    assert all(row["averaged"] == 0.0 for row in outcome.rows)
    plain, _ = trained(0.0, noise=0.0, lr=0.001)
    assert torch.equal(model.place, plain.place)


def test_average_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match="of another model"):
        WeightAverage(Point(), 0.9).load({"place": torch.zeros(2)})


def test_frozen_weights_are_not_averaged() -> None:
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    assert list(WeightAverage(layer, 0.9).weights) == ["weight"]


def test_stored_average_is_loaded_by_names() -> None:
    model = nn.ParameterDict({"a": nn.Parameter(torch.zeros(2)), "b": nn.Parameter(torch.zeros(2))})
    average = WeightAverage(model, 0.0)
    average.load({"b": torch.full((2,), 2.0), "a": torch.full((2,), 1.0)})
    with average.in_use():
        assert model["a"].tolist() == [1, 1] and model["b"].tolist() == [2, 2]
    with torch.no_grad():
        model["b"].fill_(5.0)
    average.update(100)  # a decay of 0: the weights themselves
    assert average.weights["a"].tolist() == [0, 0] and average.weights["b"].tolist() == [5, 5]
