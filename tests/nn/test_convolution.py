"""Convolution over time equals PyTorch's, and reads only the steps that it may."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.nn.convolution import Convolution, ResidualBlock

T, B, C, H = 11, 3, 2, 4

shapes = pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 3), (3, 1), (3, 4), (4, 2), (5, 20)])


def values(steps: int = T, seed: int = 1) -> Tensor:
    return torch.randn(steps, B, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def make(kernel: int, dilation: int, *, causal: bool = True) -> Convolution:
    torch.manual_seed(0)
    layer = Convolution(C, H, kernel, dilation=dilation, causal=causal).double()
    torch.nn.init.normal_(layer.bias)
    return layer


@shapes
@pytest.mark.parametrize("causal", [True, False])
def test_convolution_equals_pytorchs(kernel: int, dilation: int, causal: bool) -> None:
    layer = make(kernel, dilation, causal=causal)
    ahead = 0 if causal else (kernel - 1) // 2 * dilation
    rows = functional.pad(values().permute(1, 2, 0), ((kernel - 1) * dilation - ahead, ahead))
    expected = functional.conv1d(rows, layer.weight.transpose(1, 2), layer.bias, dilation=dilation).permute(2, 0, 1)
    torch.testing.assert_close(layer(values()), expected, rtol=1e-10, atol=1e-10)
    assert layer(values()).shape == (T, B, H)


@shapes
def test_run_in_parts_equals_whole_run(kernel: int, dilation: int) -> None:
    layer, past = make(kernel, dilation), torch.zeros((kernel - 1) * dilation, B, C, dtype=torch.float64)
    parts = []
    for part in torch.split(values(), [1, 6, 4]):
        parts.append(layer(part, past))
        past = torch.cat([past, part])[len(part) :]
    torch.testing.assert_close(torch.cat(parts), layer(values()), rtol=1e-10, atol=1e-10)


def test_centred_filter_reads_both_sides_and_causal_filter_the_past() -> None:
    for causal, reached in ((True, [5, 7, 9]), (False, [3, 5, 7])):
        x = values().requires_grad_()
        changed = values()
        changed[5] = values(seed=2)[5]
        layer = make(3, 2, causal=causal)
        differs = (layer(changed) != layer(x)).flatten(1).any(1)
        assert differs.nonzero().flatten().tolist() == reached


def test_block_starts_near_its_residual_connection() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(C, C, 3).double()
    output, _ = block(values())
    straight = values().clamp(min=0)
    assert (output - straight).std() < 0.5 * straight.std()


def test_steps_beyond_the_end_count_as_zeros() -> None:
    torch.manual_seed(0)
    block, changed = ResidualBlock(C, H, 3, dilation=2, causal=False).double(), values()
    changed[6:] = values(seed=2)[6:]
    in_row = (torch.arange(T) < 6)[:, None, None].expand(T, B, 1)
    torch.testing.assert_close(block(values(), inside=in_row)[0][:6], block(changed, inside=in_row)[0][:6])
    assert not torch.allclose(block(values())[0][:6], block(changed)[0][:6]), (
        "without a mask the outputs differ, so the test can fail"
    )
    torch.nn.init.normal_(block.first.bias)  # hidden values beyond the end are not 0 by themselves
    alone = block(values()[:6])[0]
    torch.testing.assert_close(block(values(), inside=in_row)[0][:6], alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [C, H])
def test_block_in_parts_equals_whole_run(size: int) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(C, size, 3, dilation=2).double()
    torch.nn.init.normal_(block.first.bias)
    torch.nn.init.normal_(block.second.weight)
    whole, parts = block(values())[0], []
    pasts = tuple(torch.zeros(4, B, width, dtype=torch.float64) for width in (C, size))
    for part in torch.split(values(), [1, 6, 4]):
        output, inputs = block(part, pasts)
        parts.append(output)
        pasts = tuple(torch.cat([past, read])[-4:] for past, read in zip(pasts, inputs, strict=True))
    assert (whole[4:] != block(values()[4:])[0]).any(), "the past matters"
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-10, atol=1e-10)


def test_dropout_acts_after_each_convolution() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(C, 200, 1, dropout=0.5).double().train()
    torch.nn.init.zeros_(block.first.weight)
    torch.nn.init.ones_(block.first.bias)
    _, (_, hidden) = block(values())
    assert 0.4 < (hidden == 0).double().mean() < 0.6 and set(hidden.unique().tolist()) == {0.0, 2.0}


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="kernel, dilation: got 2, 4, 0, 1, wanted at least 1 each"):
        Convolution(2, 4, 0)
