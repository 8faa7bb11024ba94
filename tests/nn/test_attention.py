"""Attention: properties of the weights for all scores, and each score by its formula."""

from __future__ import annotations

import pytest
import torch

from seriatim.errors import UsageError
from seriatim.nn.attention import ATTENTIONS, Attention, make_attention

T, S, B, H, M = 5, 7, 3, 6, 6
LENGTHS = torch.tensor([7, 3, 1])


@pytest.fixture(params=ATTENTIONS)
def attention(request: pytest.FixtureRequest) -> Attention:
    torch.manual_seed(0)
    return make_attention(request.param, H, M).double()


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(T, B, H).double(), torch.randn(S, B, M).double()


def attend(attention: Attention, queries: torch.Tensor, memory: torch.Tensor, lengths: torch.Tensor | None = LENGTHS):
    return attention(queries, memory, attention.keys(memory), lengths)


def test_weights_sum_to_one_and_padding_gets_none(attention: Attention) -> None:
    _, weights = attend(attention, *inputs())
    torch.testing.assert_close(weights.sum(-1), torch.ones(T, B).double())
    for row, length in enumerate(LENGTHS):
        assert (weights[:, row, length:] == 0).all()
        assert (weights[:, row, :length] > 0).all()


def test_context_is_the_weighted_mean_of_the_memory(attention: Attention) -> None:
    queries, memory = inputs()
    context, weights = attend(attention, queries, memory)
    torch.testing.assert_close(context, torch.einsum("tbs,sbm->tbm", weights, memory))


def test_padding_changes_nothing(attention: Attention) -> None:
    queries, memory = inputs()
    context, _ = attend(attention, queries, memory)
    memory[3:, 1], memory[1:, 2] = 1e3, -1e3
    again, _ = attend(attention, queries, memory)
    torch.testing.assert_close(again, context)
    row_context, _ = attend(attention, queries[:, 1:2], memory[:3, 1:2], None)
    torch.testing.assert_close(row_context, context[:, 1:2])


def test_scores_equal_their_formulas() -> None:
    queries, memory = inputs()
    for name in ATTENTIONS:
        attention = make_attention(name, H, M).double()
        scores = attention.scores(queries, attention.keys(memory))
        assert scores.shape == (B, T, S)
        query, state = queries[2, 1], memory[4, 1]
        weights = dict(attention.named_parameters())
        if name == "dot":
            expected = query @ state
        elif name == "general":
            expected = query @ weights["weight.weight"] @ state
        else:
            combined = torch.cat([weights["of_query.weight"], weights["of_memory.weight"]], 1) @ torch.cat(
                [query, state]
            )
            combined = combined + weights.get("of_memory.bias", torch.zeros(()))
            expected = weights["score.weight"][0] @ torch.tanh(combined)
        torch.testing.assert_close(scores[1, 2, 4], expected)


def test_only_dot_refuses_different_widths() -> None:
    with pytest.raises(UsageError, match=r"attention: dot wants queries \(6 wide\) as wide as the memory \(8\)"):
        make_attention("dot", 6, 8)
    for name in set(ATTENTIONS) - {"dot"}:
        context, _ = attend(make_attention(name, 6, 8), torch.randn(T, B, 6), torch.randn(S, B, 8))
        assert context.shape == (T, B, 8)


def test_unknown_name_is_refused() -> None:
    with pytest.raises(UsageError, match="attention: 'dots'"):
        make_attention("dots", 6, 6)
