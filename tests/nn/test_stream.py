"""State, reset and refusals of a stream. A law tests that it agrees with the layer."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import GRU, LSTM, Stream


def test_reset_clears_the_state():
    stream = Stream(GRU(3, 5))
    x = torch.randn(4, 2, 3)
    first = stream(x)
    assert not torch.equal(stream(x), first)
    stream.reset()
    assert stream.state is None
    assert torch.equal(stream(x), first)


def test_state_has_no_history_but_output_has():
    stream = Stream(LSTM(3, 5))
    first_chunk = torch.randn(4, 2, 3, requires_grad=True)
    assert stream(first_chunk).requires_grad
    assert not any(part.requires_grad for part in stream.state)
    second_chunk = torch.randn(4, 2, 3, requires_grad=True)
    stream(second_chunk).sum().backward()
    assert second_chunk.grad is not None
    assert first_chunk.grad is None


def test_state_can_be_restored():
    stream = Stream(LSTM(3, 5))
    stream(torch.randn(4, 2, 3))
    state, x = stream.state, torch.randn(4, 2, 3)
    expected = stream(x)
    restored = Stream(stream.layer)
    restored.state = [part.clone().requires_grad_() for part in state]
    assert torch.equal(restored(x), expected)
    assert not any(part.requires_grad for part in restored.state)


def test_chunk_may_have_any_form_of_the_layer():
    layer = GRU(3, 5, batch_first=True)
    x = torch.randn(2, 6, 3)
    stream = Stream(layer)
    chunks = torch.cat([stream(x[:, :1]), stream(x[:, 1:])], dim=1)
    torch.testing.assert_close(chunks, layer(x)[0])
    part = Stream(layer)
    torch.testing.assert_close(torch.cat([part(x[0, :4]), part(x[0, 4:])]), layer(x[0])[0])


def test_changed_number_of_rows_is_refused():
    stream = Stream(GRU(3, 5))
    stream(torch.zeros(4, 2, 3))
    with pytest.raises(UsageError, match=r"h has shape \[1, 2, 5\], wanted \[1, 3, 5\]"):
        stream(torch.zeros(4, 3, 3))


def test_a_bidirectional_layer_is_refused():
    with pytest.raises(UsageError, match="layer: got a bidirectional one"):
        Stream(GRU(3, 5, bidirectional=True))
