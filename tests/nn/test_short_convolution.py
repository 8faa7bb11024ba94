"""The short convolution of residual blocks: its equation, and the laws of its state."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.nn import LRU, Blocks, MinGRU, MinLSTM
from seriatim.nn.short_convolution import ShortConvolution

X = torch.randn(11, 3, 5, dtype=torch.float64)


def stirred(layers: list, **options: object) -> Blocks:
    blocks = Blocks(layers, 5, **options).double()
    for convolution in blocks.convolutions:
        torch.nn.init.normal_(convolution.weight)
        torch.nn.init.normal_(convolution.bias)
    return blocks


@pytest.fixture(params=[MinGRU, MinLSTM, LRU])
def blocks(request) -> Blocks:
    torch.manual_seed(0)
    return stirred([request.param(6, 6), request.param(6, 6)], convolution=4)


def close(first, second) -> None:
    torch.testing.assert_close(first, second, rtol=1e-9, atol=1e-9)


def test_convolution_is_causal_and_depthwise():
    layer = ShortConvolution(5, 4).double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    padded = functional.pad(X.permute(1, 2, 0), (3, 0))
    expected = functional.conv1d(padded, layer.weight.flip(0).T[:, None], layer.bias, groups=5)
    output, past = layer(X, torch.zeros(3, 15, dtype=torch.float64))
    close(output, expected.permute(2, 0, 1))
    close(past.reshape(3, 3, 5), X[-3:].transpose(0, 1))


def test_convolution_starts_as_the_identity():
    with_convolution, without = Blocks([MinGRU(5, 5)], 5, convolution=4), Blocks([MinGRU(5, 5)], 5)
    with_convolution.load_state_dict(without.state_dict(), strict=False)
    close(with_convolution(X.float())[0], without(X.float())[0])


@pytest.mark.parametrize("cut", [1, 2, 4, 10])
def test_split_run_equals_whole_run(blocks, cut):
    whole, final = blocks(X)
    first, state = blocks(X[:cut])
    second, last = blocks(X[cut:], state)
    close(torch.cat([first, second]), whole)
    for part, expected in zip(last, final, strict=True):
        close(part, expected)
    assert final[-1].shape == (2, 3, 18)


def test_single_steps_equal_whole_run(blocks):
    state, outputs = None, []
    for step in X:
        output, state = blocks(step[None], state)
        outputs.append(output)
    close(torch.cat(outputs), blocks(X)[0])


def test_reset_forgets_the_inputs_before_it(blocks):
    reset = torch.zeros(11, 3, dtype=torch.bool)
    reset[5, 1] = reset[9, 2] = True
    output, final = blocks(X, reset=reset)
    close(output[5:, 1], blocks(X[5:])[0][:, 1])
    fresh, after = blocks(X[9:])
    close(output[9:, 2], fresh[:, 2])
    for part, expected in zip(final, after, strict=True):
        close(part[:, 2], expected[:, 2])


def test_padding_changes_nothing(blocks):
    output, final = blocks(X, lengths=[11, 4, 1])
    for row, length in ((1, 4), (2, 1)):
        alone, after = blocks(X[:length, row : row + 1])
        close(output[:length, row], alone[:, 0])
        for part, expected in zip(final, after, strict=True):
            close(part[:, row], expected[:, 0])


def test_second_direction_keeps_no_inputs():
    blocks = stirred([MinGRU(6, 3, bidirectional=True)], convolution=3)
    _, (h_n, past) = blocks(X)
    assert h_n.shape == (2, 3, 3) and past.shape == (2, 3, 12)
    assert past[0].any() and not past[1].any()


def test_reverse_is_refused(blocks):
    with pytest.raises(UsageError, match="reverse: not with a convolution"):
        blocks(X, reverse=True)
    with pytest.raises(UsageError, match="convolution: got 0"):
        Blocks([MinGRU(5, 5)], convolution=0)
