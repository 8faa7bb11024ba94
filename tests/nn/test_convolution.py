"""Convolution over time beside PyTorch's, and what it may not see."""

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
def test_it_is_that_of_pytorch(kernel: int, dilation: int, causal: bool) -> None:
    layer = make(kernel, dilation, causal=causal)
    ahead = 0 if causal else (kernel - 1) // 2 * dilation
    rows = functional.pad(values().permute(1, 2, 0), ((kernel - 1) * dilation - ahead, ahead))
    wanted = functional.conv1d(rows, layer.weight.transpose(1, 2), layer.bias, dilation=dilation).permute(2, 0, 1)
    torch.testing.assert_close(layer(values()), wanted, rtol=1e-10, atol=1e-10)
    assert layer(values()).shape == (T, B, H)


@shapes
def test_a_run_in_parts_is_the_whole_run(kernel: int, dilation: int) -> None:
    layer, past = make(kernel, dilation), torch.zeros((kernel - 1) * dilation, B, C, dtype=torch.float64)
    parts = []
    for part in torch.split(values(), [1, 6, 4]):
        parts.append(layer(part, past))
        past = torch.cat([past, part])[len(part) :]
    torch.testing.assert_close(torch.cat(parts), layer(values()), rtol=1e-10, atol=1e-10)


def test_a_centred_filter_sees_both_sides_and_a_causal_one_the_past() -> None:
    for causal, reached in ((True, [5, 7, 9]), (False, [3, 5, 7])):
        x = values().requires_grad_()
        other = values()
        other[5] = values(seed=2)[5]
        layer = make(3, 2, causal=causal)
        moved = (layer(other) != layer(x)).flatten(1).any(1)
        assert moved.nonzero().flatten().tolist() == reached


def test_a_block_starts_near_the_straight_way() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(C, C, 3).double()
    output, _ = block(values())
    straight = values().clamp(min=0)
    assert (output - straight).std() < 0.5 * straight.std()


def test_what_stands_beyond_an_end_is_read_as_zeros() -> None:
    torch.manual_seed(0)
    block, other = ResidualBlock(C, H, 3, dilation=2, causal=False).double(), values()
    other[6:] = values(seed=2)[6:]
    inside = (torch.arange(T) < 6)[:, None, None].expand(T, B, 1)
    torch.testing.assert_close(block(values(), inside=inside)[0][:6], block(other, inside=inside)[0][:6])
    assert not torch.allclose(block(values())[0][:6], block(other)[0][:6]), "the law can fail"


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="kernel, dilation: got 2, 4, 0, 1, wanted at least 1 each"):
        Convolution(2, 4, 0)
