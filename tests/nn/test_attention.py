"""Attention: what the weights must be, whatever scores them, and each score by its formula."""

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


def look(attention: Attention, queries: torch.Tensor, memory: torch.Tensor, lengths: torch.Tensor | None = LENGTHS):
    return attention(queries, memory, attention.keys(memory), lengths)


def test_weights_sum_to_one_and_padding_gets_none(attention: Attention) -> None:
    _, weights = look(attention, *inputs())
    torch.testing.assert_close(weights.sum(-1), torch.ones(T, B).double())
    for row, length in enumerate(LENGTHS):
        assert (weights[:, row, length:] == 0).all()
        assert (weights[:, row, :length] > 0).all()


def test_what_is_found_is_the_mean_by_the_weights(attention: Attention) -> None:
    queries, memory = inputs()
    found, weights = look(attention, queries, memory)
    torch.testing.assert_close(found, torch.einsum("tbs,sbm->tbm", weights, memory))


def test_padding_changes_nothing(attention: Attention) -> None:
    queries, memory = inputs()
    found, _ = look(attention, queries, memory)
    memory[3:, 1], memory[1:, 2] = 1e3, -1e3
    again, _ = look(attention, queries, memory)
    torch.testing.assert_close(again, found)
    alone, _ = look(attention, queries[:, 1:2], memory[:3, 1:2], None)
    torch.testing.assert_close(alone, found[:, 1:2])


def test_each_score_is_its_formula() -> None:
    queries, memory = inputs()
    for name in ATTENTIONS:
        attention = make_attention(name, H, M).double()
        scores = attention.scores(queries, attention.keys(memory))
        assert scores.shape == (B, T, S)
        query, state = queries[2, 1], memory[4, 1]
        weights = dict(attention.named_parameters())
        if name == "dot":
            wanted = query @ state
        elif name == "general":
            wanted = query @ weights["weight.weight"] @ state
        else:
            both = torch.cat([weights["of_query.weight"], weights["of_memory.weight"]], 1) @ torch.cat([query, state])
            both = both + weights.get("of_memory.bias", torch.zeros(()))
            wanted = weights["score.weight"][0] @ torch.tanh(both)
        torch.testing.assert_close(scores[1, 2, 4], wanted)


def test_dot_wants_one_width_and_the_others_do_not() -> None:
    with pytest.raises(UsageError, match=r"attention: dot wants queries \(6 wide\) as wide as the memory \(8\)"):
        make_attention("dot", 6, 8)
    for name in set(ATTENTIONS) - {"dot"}:
        found, _ = look(make_attention(name, 6, 8), torch.randn(T, B, 6), torch.randn(S, B, 8))
        assert found.shape == (T, B, 8)


def test_no_such_attention() -> None:
    with pytest.raises(UsageError, match="attention: 'dots'"):
        make_attention("dots", 6, 6)
