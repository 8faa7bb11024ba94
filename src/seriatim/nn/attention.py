"""Attention of a decoder over a memory: how well each query fits each state, and the mean of the states by that.

    weights_t = softmax_s(score(h_t, m_s))        found_t = Σ_s weights_ts m_s

| name | score(h, m) | source |
|---|---|---|
| dot | h · m | Luong 2015 |
| general | h · W m | Luong 2015 |
| concat | v · tanh(W [h; m]) | Luong 2015 |
| additive | v · tanh(W h + U m + b) | Bahdanau 2015 |

The last two differ in the bias alone once the query is the same. Bahdanau's is the decoder's state before step t,
Luong's the one after it; here h_t is the one after it for all four.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError, nearest


class Attention(nn.Module, ABC):
    """Looks at a memory for several queries at once.

    What of a score depends on the memory alone, its ``keys``, is made once for all queries of a sequence.
    """

    @abstractmethod
    def keys(self, memory: Tensor) -> Tensor:
        """Map a memory [S, B, M] to what queries are held against, [S, B, A]."""

    @abstractmethod
    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Hold queries [T, B, H] against keys [S, B, A]: [B, T, S]."""

    def forward(
        self, queries: Tensor, memory: Tensor, keys: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Look for queries [T, B, H] at a memory [S, B, M] with its ``keys``.

        States beyond a row's length (``lengths`` [B]) get no weight. Returns what was found [T, B, M] and the weights
        [T, B, S], which sum to one over S.
        """
        scores = self.scores(queries, keys)
        if lengths is not None:
            beyond = torch.arange(len(memory), device=memory.device) >= lengths.to(memory.device)[:, None]
            scores = scores.masked_fill(beyond[:, None], -torch.inf)
        weights = torch.softmax(scores.float(), -1).to(memory.dtype)
        found = torch.bmm(weights, memory.transpose(0, 1))
        return found.transpose(0, 1), weights.transpose(0, 1)


@final
class Dot(Attention):
    """h · m; both must be of one width."""

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
    """h · W m. W starts orthogonal: with smaller scores attention would look everywhere alike for long."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.weight = nn.Linear(memory_size, query_size, bias=False)
        nn.init.orthogonal_(self.weight.weight)

    def keys(self, memory: Tensor) -> Tensor:
        keys: Tensor = self.weight(memory)
        return keys

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries.transpose(0, 1), keys.permute(1, 2, 0).to(queries.dtype))


@final
class Additive(Attention):
    """v · tanh(W h + U m), and a bias b with ``bias``; as wide inside as a query."""

    def __init__(self, query_size: int, memory_size: int, *, bias: bool) -> None:
        super().__init__()
        self.of_query = nn.Linear(query_size, query_size, bias=False)
        self.of_memory = nn.Linear(memory_size, query_size, bias=bias)
        self.score = nn.Linear(query_size, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        keys: Tensor = self.of_memory(memory)
        return keys

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        both = self.of_query(queries).transpose(0, 1)[:, :, None] + keys.transpose(0, 1)[:, None]  # [B, T, S, H]
        scores: Tensor = self.score(torch.tanh(both)).squeeze(-1)
        return scores


ATTENTIONS: dict[str, Callable[[int, int], Attention]] = {
    "dot": Dot,
    "general": General,
    "concat": lambda query_size, memory_size: Additive(query_size, memory_size, bias=False),
    "additive": lambda query_size, memory_size: Additive(query_size, memory_size, bias=True),
}
"""By the name of the option ``attention``."""


def make_attention(name: str, query_size: int, memory_size: int) -> Attention:
    """Make the attention called ``name``. Raises ``UsageError`` when there is none, or for widths that do not fit."""
    if name not in ATTENTIONS:
        raise UsageError(f"attention: '{name}'{nearest(name, ATTENTIONS)}")
    return ATTENTIONS[name](query_size, memory_size)
