"""Residual blocks: their equations, padding, dropout, and refusals. The laws are in ``tests/laws``."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.nn import LRU, LSTM, Blocks, MinGRU

X = torch.randn(7, 4, 3)


def test_blocks_compute_their_equations():
    blocks = Blocks([MinGRU(5, 5), MinGRU(5, 5)], 3)
    output, h_n = blocks(X)
    x = functional.linear(X, blocks.input.weight, blocks.input.bias)
    for layer, norm, part in zip(blocks.layers, blocks.norms, blocks.parts, strict=True):
        x = x + layer(norm(x))[0]
        hidden = functional.gelu(part.linear1(functional.layer_norm(x, (5,), part.norm.weight, part.norm.bias)))
        x = x + part.linear2(hidden)
    torch.testing.assert_close(output, blocks.norm(x))
    assert output.shape == (7, 4, 5) and h_n.shape == (2, 4, 5)


def test_input_of_the_same_width_is_not_mapped():
    assert not list(Blocks([LRU(5, 5)]).input.parameters())


def test_padding_that_is_not_a_number_changes_no_gradient():
    blocks = Blocks([LSTM(5, 5), LSTM(5, 5)], 3)
    lengths = [7, 2, 5, 5]
    gradients = []
    for filler in (0.0, float("nan")):
        x = X.clone()
        for row, length in enumerate(lengths):
            x[length:, row] = filler
        output, _ = blocks(x, lengths=lengths)
        assert (output[2:, 1] == 0).all()
        blocks.zero_grad()
        output.square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in blocks.parameters()])
    assert all(torch.equal(zeros, nans) for zeros, nans in zip(*gradients, strict=True))


def test_dropout_of_all_parts_leaves_the_input():
    blocks = Blocks([MinGRU(3, 3)], dropout=1.0)
    torch.testing.assert_close(blocks(X)[0], blocks.norm(X))
    assert not torch.allclose(blocks.eval()(X)[0], blocks.norm(X))


def test_reset_parameters_and_batch_first():
    blocks = Blocks([MinGRU(5, 5)], 3, batch_first=True, expansion=2)
    assert blocks.parts[0].linear1.weight.shape == (10, 5)
    assert blocks(X.transpose(0, 1))[0].shape == (4, 7, 5)
    draws = []
    for _ in range(2):
        torch.manual_seed(2)
        blocks.reset_parameters()
        draws.append([parameter.clone() for parameter in blocks.parameters()])
    assert all(torch.equal(first, second) for first, second in zip(*draws, strict=True))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Blocks([]), "layers: got none, wanted at least one"),
        (lambda: Blocks([MinGRU(3, 5)]), "layers: number 0 takes 3 and gives 5, wanted the same"),
        (lambda: Blocks([MinGRU(5, 5), LSTM(5, 5)]), "layers: number 1 has other directions or states than number 0"),
        (lambda: Blocks([MinGRU(5, 5)], 0), "input_size: got 0"),
        (lambda: Blocks([MinGRU(5, 5)], expansion=0), "expansion: got 0"),
        (lambda: Blocks([MinGRU(5, 5)], dropout=2), "dropout: got 2"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UsageError, match=message):
        make()
