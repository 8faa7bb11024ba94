"""Residual and highway connections of a stack, and refusals."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn import GRU, LSTM, RNN, Stacked

X = torch.randn(7, 4, 3)


def test_residual_adds_the_input_of_a_layer():
    layers = [RNN(3, 5), RNN(5, 5), RNN(5, 5)]
    output, h_n = Stacked(layers)(X, lengths=[7, 2, 5, 5])
    x = layers[0](X, lengths=[7, 2, 5, 5])[0]
    for layer in layers[1:]:
        x = x + layer(x, lengths=[7, 2, 5, 5])[0]
    torch.testing.assert_close(output, x)
    assert h_n.shape == (3, 4, 5)


def test_highway_mixes_input_and_output_by_a_gate():
    stack = Stacked([GRU(3, 5), GRU(5, 5)], "highway")
    x = stack.layers[0](X)[0]
    t = torch.sigmoid(stack.connections[0].transform(x))
    torch.testing.assert_close(stack(X)[0], t * stack.layers[1](x)[0] + (1 - t) * x)
    assert (stack.connections[0].transform.bias == -1).all()


def test_dropout_does_not_apply_to_the_connection():
    stack = Stacked([RNN(3, 5), RNN(5, 5)], dropout=1.0)
    x, from_nothing = stack.layers[0](X)[0], stack.layers[1](torch.zeros(7, 4, 5))[0]
    torch.testing.assert_close(stack(X)[0], x + from_nothing)
    stack.eval()
    torch.testing.assert_close(stack(X)[0], x + stack.layers[1](x)[0])


def test_batch_first_and_reset_parameters():
    stack = Stacked([RNN(3, 5, dtype=torch.float64), RNN(5, 5, dtype=torch.float64)], "highway", batch_first=True)
    assert stack(X.double().transpose(0, 1))[0].shape == (4, 7, 5)
    draws = []
    for _ in range(2):
        torch.manual_seed(2)
        stack.reset_parameters()
        draws.append([first.clone() for first in stack.parameters()])
    assert all(torch.equal(first, second) for first, second in zip(*draws, strict=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stacked([]), "layers: got none, wanted at least one"),
        (lambda: Stacked([RNN(3, 5)], "skip") and Stacked([RNN(3, 5), RNN(5, 5)], "skip"), "connection: got 'skip'"),
        (lambda: Stacked([torch.nn.RNN(3, 5)]), "layers: number 0 is RNN, wanted a recurrent layer of seriatim.nn"),
        (lambda: Stacked([RNN(3, 5, 2)]), "layers: number 0 has several layers or batch_first, wanted one, time-major"),
        (lambda: Stacked([RNN(3, 5), LSTM(5, 5)]), "layers: number 1 has other directions or states than number 0"),
        (lambda: Stacked([RNN(3, 5), RNN(4, 5)]), "layers: number 1 takes 4 and gives 5, wanted the same"),
    ],
    ids=range(6),
)
def test_refusals(make, message):
    with pytest.raises(UsageError) as refused:
        make()
    assert str(refused.value).startswith(message)
