"""The parts of the Transformer equal PyTorch's, and keep the laws of caches and masks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.nn.positions import SinusoidalPositions, rotate
from seriatim.nn.transformer import DecoderLayer, EncoderLayer, MultiHeadAttention, causal_mask, padding_mask

T, S, B, C, HEADS = 7, 5, 3, 12, 3
LENGTHS = torch.tensor([5, 2, 4])


def values(steps: int = T, seed: int = 1) -> Tensor:
    return torch.randn(steps, B, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(left: Tensor, right: Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-10)


def randomised(module: nn.Module) -> nn.Module:
    """``module`` in float64, with random changes to all weights, also to zero biases and unit norms."""
    draw = torch.Generator().manual_seed(7)
    module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=draw, dtype=torch.float64))
    return module


def test_attention_equals_pytorchs() -> None:
    peer = randomised(nn.MultiheadAttention(C, HEADS))
    ours = MultiHeadAttention(C, HEADS).double()
    ours.load_state_dict(peer.state_dict())
    expected, _ = peer(values(), values(), values(), attn_mask=~causal_mask(T, T))
    close(ours.over_itself(values(), mask=causal_mask(T, T))[0], expected)
    source = values(S, seed=2)
    is_padding = torch.arange(S) >= LENGTHS[:, None]
    expected, _ = peer(values(), source, source, key_padding_mask=is_padding)
    result = ours.over(values(), ours.keys_values(source), mask=padding_mask(LENGTHS, S))
    close(result, expected)
    unmasked = ours.over(values(), ours.keys_values(source))
    assert not torch.allclose(unmasked, expected, rtol=1e-3), "the comparison can fail"


@pytest.mark.parametrize("norm_first", [True, False])
def test_encoder_layer_equals_pytorchs(norm_first: bool) -> None:
    peer = randomised(nn.TransformerEncoderLayer(C, HEADS, 20, norm_first=norm_first))
    ours = EncoderLayer(C, HEADS, 20, norm_first=norm_first).double()
    ours.load_state_dict(peer.state_dict())
    close(ours(values(), mask=causal_mask(T, T))[0], peer(values(), src_mask=~causal_mask(T, T)))
    in_row = torch.arange(S) < LENGTHS[:, None]
    expected = peer(values(S), src_key_padding_mask=~in_row)
    close(ours(values(S), mask=padding_mask(LENGTHS, S))[0][in_row.T], expected[in_row.T])


@pytest.mark.parametrize("norm_first", [True, False])
def test_decoder_layer_equals_pytorchs(norm_first: bool) -> None:
    peer = randomised(nn.TransformerDecoderLayer(C, HEADS, 20, norm_first=norm_first))
    ours = DecoderLayer(C, HEADS, 20, norm_first=norm_first).double()
    ours.load_state_dict(peer.state_dict())
    source, is_padding = values(S, seed=2), torch.arange(S) >= LENGTHS[:, None]
    expected = peer(values(), source, tgt_mask=~causal_mask(T, T), memory_key_padding_mask=is_padding)
    result, _ = ours(values(), ours.read(source), mask=causal_mask(T, T), source_mask=padding_mask(LENGTHS, S))
    close(result, expected)


@pytest.mark.parametrize("rotary", [True, False])
def test_single_steps_with_a_cache_equal_the_whole_run(rotary: bool) -> None:
    encoder = randomised(EncoderLayer(C, HEADS, rotary=rotary))
    decoder = randomised(DecoderLayer(C, HEADS, rotary=rotary))
    assert isinstance(decoder, DecoderLayer)
    source, source_mask = decoder.read(values(S, seed=2)), padding_mask(LENGTHS, S)
    whole, _ = encoder(values(), mask=causal_mask(T, T))
    whole, _ = decoder(whole, source, mask=causal_mask(T, T), source_mask=source_mask)
    inner = outer = None
    steps = []
    for step in torch.split(values(), 1):
        between, inner = encoder(step, past=inner)
        output, outer = decoder(between, source, past=outer, source_mask=source_mask)
        steps.append(output)
    close(torch.cat(steps), whole)


def test_masked_steps_do_not_affect_the_output() -> None:
    layer, changed = randomised(EncoderLayer(C, HEADS, rotary=True)), values()
    changed[4:] = values(seed=9)[4:]
    close(layer(changed, mask=causal_mask(T, T))[0][:4], layer(values(), mask=causal_mask(T, T))[0][:4])
    mask = padding_mask(torch.full((B,), 4), T)
    close(layer(changed, mask=mask)[0][:4], layer(values(), mask=mask)[0][:4])
    assert not torch.allclose(layer(changed)[0][:4], layer(values())[0][:4]), (
        "without a mask the outputs differ, so the test can fail"
    )


def test_masks_by_hand() -> None:
    assert causal_mask(2, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert causal_mask(2, 4, span=2).int().tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]
    assert padding_mask(torch.tensor([1, 3]), 3).int().tolist() == [[[1, 0, 0]], [[1, 1, 1]]]


def test_product_of_rotated_vectors_depends_on_their_distance() -> None:
    draw = torch.Generator().manual_seed(0)
    query, key = torch.randn(2, 1, C, generator=draw, dtype=torch.float64)

    def product(at: int, changed: int) -> Tensor:
        return (rotate(query, torch.tensor([at])) * rotate(key, torch.tensor([changed]))).sum()

    close(product(5, 2), product(1005, 1002))
    assert abs(product(5, 2) - product(5, 3)) > 1e-3
    close(rotate(query, torch.tensor([9])).norm(), query.norm())


def test_sinusoids_by_hand() -> None:
    result = SinusoidalPositions()(torch.zeros(2, 1, 4, dtype=torch.float64), start=3)[:, 0]
    expected = [[f(p / 10_000 ** (2 * i / 4)) for i in (0, 1) for f in (math.sin, math.cos)] for p in (3, 4)]
    close(result, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiHeadAttention(10, 3), "heads: got 3, wanted a number that divides 10"),
        (lambda: MultiHeadAttention(6, 2, rotary=True), "divides 6 into an even size each"),
        (lambda: SinusoidalPositions()(torch.zeros(1, 1, 3)), "input: got 3 channels, wanted an even number"),
        (lambda: EncoderLayer(4, 2, dropout=2.0), "dropout: got 2.0"),
    ],
)
def test_refusals(make: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()  # type: ignore[operator]
