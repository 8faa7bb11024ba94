"""Truncated BPTT equals its definition, computed step by step, and BPTT if nothing is cut off."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from seriatim.errors import UsageError
from seriatim.learning.bptt import BPTT, TruncatedBPTT
from seriatim.models.contract import Carry, Trainable
from seriatim.nn.layers import GRU, LSTM

STEPS, ROWS = 11, 3
RULES = [(1, 1), (3, 3), (2, 5), (1, 6), (3, 4), (5, 20), (4, 2), (5, 1), (20, 30)]


def layer(kind: Any = LSTM, **options: Any) -> Any:
    torch.manual_seed(3)
    return kind(3, 4, dtype=torch.float64, **options)


def windows(batch: Any, k1: int, k2: int) -> list[Any]:
    """Return batches of k1 new steps, each after an overlap of the k2 - k1 steps before them."""
    actual = []
    for start in range(0, batch.steps, k1):
        first = max(start - max(k2 - k1, 0), 0)
        actual.append(dataclasses.replace(batch.cut(first, start + k1), overlap=start - first))
    return actual


def by_hand(model: Any, batch: Any, k1: int, k2: int, start: int) -> list[Tensor]:
    """Return the gradient of the update after ``start`` + k1 steps, at the current weights."""
    stop = min(start + k1, batch.steps)
    losses = stop - min(k1, k2) if k2 < k1 else start
    begins = max(stop - k2 if stop == start + k1 or k2 < k1 else start + k1 - k2, 0)
    state: Carry = ()
    with torch.no_grad():
        for t in range(begins):
            state = model.advance(batch.cut(t, t + 1), state)
    total = torch.zeros((), dtype=torch.float64)
    for t in range(begins, stop):
        loss, state = model.loss(batch.cut(t, t + 1), state)
        if t >= losses:
            total = total + loss / (stop - max(losses, begins))
    return list(torch.autograd.grad(total, list(model.parameters())))


@pytest.mark.parametrize(("k1", "k2"), RULES)
def test_update_of_k1_steps_has_gradient_of_last_k2(k1: int, k2: int, network: Any, stream: Any) -> None:
    """At fixed weights, against one step after another; to 1e-12 of the largest gradient."""
    model, batch = network(layer()), stream(STEPS, ROWS)
    carry: Carry = ()
    for update, window in enumerate(windows(batch, k1, k2)):
        model.zero_grad()
        _, carry = TruncatedBPTT(k1, k2).step(model, window, carry)
        for parameter, expected in zip(model.parameters(), by_hand(model, batch, k1, k2, update * k1), strict=True):
            torch.testing.assert_close(parameter.grad, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k1", [1, 2, 5])
def test_k2_as_long_as_the_stream_gives_exact_gradient(
    k1: int, network: Any, stream: Any, gradients: Any, equal: Any
) -> None:
    model, batch = network(layer(GRU, num_layers=2)), stream(STEPS, ROWS)
    actual = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    carry: Carry = ()
    for window in windows(batch, k1, STEPS + k1):
        model.zero_grad()
        _, carry = TruncatedBPTT(k1, STEPS + k1).step(model, window, carry)
        for name, parameter in model.named_parameters():
            actual[name] += parameter.grad * (window.steps - window.overlap) / STEPS
    exact = gradients(BPTT(), model, [batch])
    equal(actual, exact)
    with pytest.raises(AssertionError):
        equal(gradients(TruncatedBPTT(k1, k1), model, windows(batch, k1, k1)), exact)


def test_overlap_runs_again_with_current_weights_from_stored_state(network: Any, stream: Any) -> None:
    """Two updates with weights changed between them: (2, 4), whose second window begins where the first did."""
    model, batch = network(layer()), stream(6, ROWS)
    first, second, third = windows(batch, 2, 4)
    _, carry = TruncatedBPTT(2, 4).step(model, first, ())
    assert carry == ()  # the second window begins at the beginning
    _, carry = TruncatedBPTT(2, 4).step(model, second, carry)
    with torch.no_grad():
        stored = model.advance(batch.cut(0, 2), ())
        torch.testing.assert_close(carry, stored)
        for parameter in model.parameters():
            parameter.mul_(0.9)
        expected, _ = model.loss(batch.cut(4, 6), model.advance(batch.cut(2, 4), stored))
    loss, _ = TruncatedBPTT(2, 4).step(model, third, carry)
    torch.testing.assert_close(loss, expected)


def test_model_without_streams_is_refused(stream: Any) -> None:
    class Alone(Trainable[Any]):
        def loss(self, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
            raise AssertionError

    with pytest.raises(UsageError, match="learner: tbptt with k1 = 2 and k2 = 4 wants a model of streams"):
        TruncatedBPTT(2, 4).step(Alone(), stream(2, 1), ())
