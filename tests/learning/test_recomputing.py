"""Recomputing gives the gradient of BPTT within the allowed memory."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.learning.bptt import BPTT
from seriatim.learning.peak_memory import peak
from seriatim.learning.recomputing import Recomputing, backward_in_segments, costs, segment_length
from seriatim.models.contract import Carry
from seriatim.nn.layers import GRU, LSTM, RNN

STEPS, ROWS = 37, 3


def layer(kind: Any, **options: Any) -> Any:
    torch.manual_seed(3)
    return kind(3, 4, dtype=torch.float64, **options)


@pytest.mark.parametrize("length", [1, 5, 36, 37, 50])
@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_gradient_equals_bptt(kind: Any, length: int, network: Any, stream: Any, gradients: Any, equal: Any) -> None:
    model, batch = network(layer(kind, num_layers=2)), stream(STEPS, ROWS)
    exact = gradients(BPTT(), model, [batch])
    model.zero_grad()
    loss = backward_in_segments(model, batch, length)
    torch.testing.assert_close(loss.double(), model.loss(batch, ())[0].detach())
    equal({name: parameter.grad for name, parameter in model.named_parameters()}, exact)


def test_random_draws_are_repeated(network: Any, stream: Any, equal: Any) -> None:
    """With dropout: equal to the same segments in one graph. Recomputing does not change the generator's state."""
    model, batch = network(layer(LSTM), dropout=0.4).train(), stream(STEPS, ROWS)
    torch.manual_seed(1)
    total, carry = torch.zeros((), dtype=torch.float64), ()
    for start in range(0, STEPS, 10):
        part = batch.cut(start, start + 10)
        loss, carry = model.loss(part, carry)
        total = total + loss * part.steps / STEPS
    expected = torch.autograd.grad(total, list(model.parameters()))
    next_draw = torch.rand(3)
    torch.manual_seed(1)
    backward_in_segments(model, batch, 10)
    assert torch.equal(torch.rand(3), next_draw)
    names = [name for name, _ in model.named_parameters()]
    actual = {name: parameter.grad for name, parameter in model.named_parameters()}
    equal(actual, dict(zip(names, expected, strict=True)))


def test_segments_are_the_longest_that_fit(network: Any, stream: Any) -> None:
    model, batch = network(layer(LSTM)), stream(20_000, 2)
    fixed, per_step, per_state = costs(model, batch)
    plain = fixed + per_step * batch.steps
    assert segment_length(model, batch, 2 * plain) == batch.steps
    lengths = [segment_length(model, batch, plain / part) for part in (2, 5, 10, 20)]
    assert lengths == sorted(lengths, reverse=True)
    for part, length in zip((2, 5, 10, 20), lengths, strict=True):
        needed = fixed + per_step * length + per_state * -(-batch.steps // length)
        assert 0.5 * plain / part < needed <= plain / part * 1.001
        run = partial(lambda steps: model.loss(batch.cut(0, steps), ())[0], length)
        assert (
            0.5 * needed
            < peak(run, list(model.parameters()), [batch.inputs, batch.targets])
            + per_state * (-(-batch.steps // length))
            <= needed
        )


def test_gradient_of_long_sequence(network: Any, stream: Any, gradients: Any, equal: Any) -> None:
    """20,000 steps in 1 MB, where plain BPTT takes about 8; 1e-9 of the largest, as 20,000 sums are reordered."""
    model, batch = network(layer(GRU)), stream(20_000, 1)
    assert segment_length(model, batch, 1e6) < 5_000
    learners = (Recomputing(1e6), BPTT())
    actual, exact = (gradients(learner, model, [batch]) for learner in learners)
    equal(actual, exact, 1e-9)


def test_too_little_memory_is_refused_with_the_least_that_is_enough(network: Any, stream: Any) -> None:
    model, batch = network(layer(LSTM)), stream(20_000, 2)
    with pytest.raises(
        UsageError, match=r"memory: got 0.1 MB, too little for 20,000 steps; wanted at least"
    ) as message:
        Recomputing(1e5).step(model, batch, ())
    least = float(str(message.value).split("at least ")[1].split(" MB")[0]) * 1e6
    segment_length(model, batch, least * 1.01)


def test_no_state_is_carried_between_batches(network: Any, stream: Any) -> None:
    model, batch = network(layer(RNN)), stream(STEPS, ROWS)
    carry: Carry = (torch.ones(1, ROWS, 4, dtype=torch.float64),)
    first, end = Recomputing(1e9).step(model, batch, carry)
    assert end == ()
    torch.testing.assert_close(first.double(), model.loss(batch, ())[0].detach())
