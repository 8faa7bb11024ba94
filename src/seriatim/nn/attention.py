"""Attention of a decoder over a memory: a score for each query and state, and the weighted mean of the states.

    weights_t = softmax_s(score(h_t, m_s))        context_t = Σ_s weights_ts m_s

| name | score(h, m) | source |
|---|---|---|
| dot | h · m | Luong 2015 |
| general | h · W m | Luong 2015 |
| concat | v · tanh(W [h; m]) | Luong 2015 |
| additive | v · tanh(W h + U m + b) | Bahdanau 2015 |

For the same query, the last two differ in the bias alone. Bahdanau's query is the decoder's state before step t, and
Luong's is the state after it. Here h_t is the state after step t for all four.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError, nearest
from seriatim.nn.affine import Affine
from seriatim.ops.tanh import tanh_


class Attention(nn.Module, ABC):
    """Attention of several queries over a memory.

    ``keys`` computes the part of the scores that depends on the memory alone, once for all queries of a sequence.
    """

    @abstractmethod
    def keys(self, memory: Tensor) -> Tensor:
        """Map a memory [S, B, M] to keys [S, B, A], which are compared with queries."""

    @abstractmethod
    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Compare queries [T, B, H] with keys [S, B, A] and return scores [B, T, S]."""

    def forward(
        self, queries: Tensor, memory: Tensor, keys: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend from queries [T, B, H] over a memory [S, B, M] with its ``keys``.

        States beyond a row's length (``lengths`` [B]) get no weight. Returns the context [T, B, M] and the weights
        [T, B, S], which sum to one over S.
        """
        scores = self.scores(queries, keys)
        if lengths is not None:
            beyond = torch.arange(len(memory), device=memory.device) >= lengths.to(memory.device)[:, None]
            scores = scores.masked_fill(beyond[:, None], -torch.inf)
        weights = torch.softmax(scores.float(), -1).to(memory.dtype)
        context = torch.bmm(weights, memory.transpose(0, 1))
        return context.transpose(0, 1), weights.transpose(0, 1)


@final
class Dot(Attention):
    """h · m, for queries and states of the same width."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        if query_size != memory_size:
            raise UsageError(
                f"attention: dot wants queries ({query_size} wide) as wide as the memory ({memory_size}); "
                "general, concat and additive do not"
            )

    def keys(self, memory: Tensor) -> Tensor:
        return memory

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries.transpose(0, 1), keys.permute(1, 2, 0).to(queries.dtype))


@final
class General(Attention):
    """h · W m. W starts orthogonal; with smaller scores the weights would stay nearly uniform for long."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.weight = Affine(memory_size, query_size, bias=False)
        nn.init.orthogonal_(self.weight.weight)

    def keys(self, memory: Tensor) -> Tensor:
        keys: Tensor = self.weight(memory)
        return keys

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries.transpose(0, 1), keys.permute(1, 2, 0).to(queries.dtype))


@final
class Additive(Attention):
    """v · tanh(W h + U m), with a bias b if ``bias``. The inner width is the width of a query."""

    def __init__(self, query_size: int, memory_size: int, *, bias: bool) -> None:
        super().__init__()
        self.of_query = Affine(query_size, query_size, bias=False)
        self.of_memory = Affine(memory_size, query_size, bias=bias)
        self.score = nn.Linear(query_size, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        keys: Tensor = self.of_memory(memory)
        return keys.transpose(0, 1).contiguous().transpose(0, 1)  # in the order in which ``scores`` reads them

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        keys = keys.transpose(0, 1).contiguous()  # with other strides the sums would be copied for the product
        sums = self.of_query(queries).transpose(0, 1).contiguous()[:, :, None] + keys[:, None]  # [B, T, S, H]
        scores: Tensor = self.score(tanh_(sums)).squeeze(-1)
        return scores


ATTENTIONS: dict[str, Callable[[int, int], Attention]] = {
    "dot": Dot,
    "general": General,
    "concat": lambda query_size, memory_size: Additive(query_size, memory_size, bias=False),
    "additive": lambda query_size, memory_size: Additive(query_size, memory_size, bias=True),
}
"""Attentions by the value of the option ``attention``."""


def make_attention(name: str, query_size: int, memory_size: int) -> Attention:
    """Make the attention called ``name``. Raises ``UsageError`` for an unknown name or widths that do not fit."""
    if name not in ATTENTIONS:
        raise UsageError(f"attention: '{name}'{nearest(name, ATTENTIONS)}")
    return ATTENTIONS[name](query_size, memory_size)
