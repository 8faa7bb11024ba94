"""A stream's own manners; that it agrees with the layer is a law."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import GRU, LSTM, Stream


def test_reset_forgets():
    stream = Stream(GRU(3, 5))
    x = torch.randn(4, 2, 3)
    first = stream(x)
    assert not torch.equal(stream(x), first)
    stream.reset()
    assert stream.state is None
    assert torch.equal(stream(x), first)


def test_the_state_carries_no_history_but_the_output_does():
    stream = Stream(LSTM(3, 5))
    before = torch.randn(4, 2, 3, requires_grad=True)
    assert stream(before).requires_grad
    assert not any(one.requires_grad for one in stream.state)
    after = torch.randn(4, 2, 3, requires_grad=True)
    stream(after).sum().backward()
    assert after.grad is not None
    assert before.grad is None


def test_a_state_can_be_put_back():
    stream = Stream(LSTM(3, 5))
    stream(torch.randn(4, 2, 3))
    kept, x = stream.state, torch.randn(4, 2, 3)
    wanted = stream(x)
    other = Stream(stream.layer)
    other.state = [one.clone().requires_grad_() for one in kept]
    assert torch.equal(other(x), wanted)
    assert not any(one.requires_grad for one in other.state)


def test_a_chunk_takes_the_layers_own_form():
    layer = GRU(3, 5, batch_first=True)
    x = torch.randn(2, 6, 3)
    stream = Stream(layer)
    chunks = torch.cat([stream(x[:, :1]), stream(x[:, 1:])], dim=1)
    torch.testing.assert_close(chunks, layer(x)[0])
    one = Stream(layer)
    torch.testing.assert_close(torch.cat([one(x[0, :4]), one(x[0, 4:])]), layer(x[0])[0])


def test_another_number_of_rows_is_refused():
    stream = Stream(GRU(3, 5))
    stream(torch.zeros(4, 2, 3))
    with pytest.raises(UsageError, match=r"h has shape \[1, 2, 5\], wanted \[1, 3, 5\]"):
        stream(torch.zeros(4, 3, 3))


def test_a_bidirectional_layer_is_refused():
    with pytest.raises(UsageError, match="layer: got a bidirectional one"):
        Stream(GRU(3, 5, bidirectional=True))
