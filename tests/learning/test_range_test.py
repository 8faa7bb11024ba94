"""The range test: the rates rise, the losses show where training gains and diverges, and nothing else changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.loop import fit
from seriatim.learning.observer import Silent
from seriatim.learning.options import LearningOptions
from seriatim.learning.plan import TrainingPlan
from seriatim.learning.range_test import LAG, Range, range_test
from seriatim.nn.layers import LSTM
from seriatim.options import FIND


@pytest.fixture
def model(network: Any) -> Any:
    torch.manual_seed(3)
    return network(LSTM(3, 8, dtype=torch.float64))


def test_loss_falls_at_some_rates_and_diverges_at_others(model: Any, stream: Any) -> None:
    batch = stream(20, 8)
    batch.targets.copy_(batch.inputs * 2 + 1)  # something to learn
    options = LearningOptions(optimizer="sgd", clip=0.0)
    actual = range_test(model, [batch], options, low=1e-4, high=1e3, updates=80)
    assert actual.diverged and len(actual.rates) < 80
    assert list(actual.rates) == sorted(actual.rates)
    assert actual.rates[0] == pytest.approx(1e-4)
    assert min(actual.losses) < 0.9 * actual.losses[0]
    assert 1e-4 < actual.steepest <= actual.largest < actual.rates[-1]


def test_model_and_random_state_do_not_change(model: Any, stream: Any) -> None:
    initial = {name: value.clone() for name, value in model.state_dict().items()}
    draws = torch.get_rng_state()
    range_test(model, [stream(5, 2)], LearningOptions(learner="uoro"), updates=5)
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(torch.equal(value, initial[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("bad", [{"low": 0.0}, {"low": 1.0, "high": 1.0}, {"updates": 4}])
def test_invalid_range_is_refused(model: Any, stream: Any, bad: Any) -> None:
    with pytest.raises(UsageError, match=r"range: got .* updates from"):
        range_test(model, [stream(5, 2)], LearningOptions(), **bad)


class Epoch(list[Any]):
    """Batches that can be taken by position only."""

    def __iter__(self) -> Any:
        raise AssertionError("asked for by position")


def test_lr_find_trains_as_with_the_found_rate(model: Any, stream: Any) -> None:
    """The rate is the same each time, and training with it as an option gives the same result."""
    batch = stream(20, 8)
    batch.targets.copy_(batch.inputs * 2 + 1)
    ended = []
    for lr in (FIND, FIND, None):
        trained = copy.deepcopy(model)
        torch.manual_seed(0)
        course = TrainingPlan(lambda number: Epoch([batch] * 3), lambda network: {"valid_nll": 1.0}, "valid_nll")
        options = LearningOptions(epochs=2, lr=ended[0][0] if lr is None else lr)
        outcome = fit(trained, course, options, NullStore(), Silent())
        ended.append((outcome.found_lr, outcome.rows[-1]["train_loss"]))
    assert ended[0] == ended[1] and 1e-5 < ended[0][0] < 1.0
    assert ended[2] == (None, ended[0][1])


def test_steepest_subtracts_the_lag():
    rates = tuple(float(rate) for rate in range(1, 31))
    actual = Range(rates, (5.0,) * 20 + (1.0,) * 10, False)
    assert actual.steepest == rates[19 - LAG]
