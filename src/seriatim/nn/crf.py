"""The linear-chain conditional random field (Lafferty, McCallum & Pereira 2001) over the outputs of a network.

score(x, y) = start[y_1] + Σ_t emissions[t, y_t] + Σ_t transitions[y_t, y_t+1] + end[y_n]         (1)
log Z(x)    = log Σ_y exp score(x, y), by the forward algorithm in log space:
              α_1[j] = start[j] + emissions[1, j]                                                 (2)
              α_t[j] = log Σ_i exp(α_t-1[i] + transitions[i, j]) + emissions[t, j]                (3)
              log Z  = log Σ_j exp(α_n[j] + end[j])                                               (4)
log p(y|x)  = score(x, y) - log Z(x)                                                              (5)
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from seriatim.nn import checks


@final
class CRF(nn.Module):
    """A distribution over sequences of tags, from scores of K tags at each step."""

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(tags, tags))
        self.start = nn.Parameter(torch.empty(tags))
        self.end = nn.Parameter(torch.empty(tags))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return log p(tags | emissions) per sequence, [B], in nats.

        ``emissions`` [T, B, K], ``tags`` [T, B] int64, ``lengths`` [B] from 1 to T; steps beyond
        a length do not count. Raises ``UsageError`` for shapes or lengths that do not fit.
        """
        return self.score(emissions, tags, lengths) - self.log_partition(emissions, lengths)

    def score(self, emissions: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """Return the score of ``tags``, [B]: equation 1."""
        emissions, steps, within = self._masked(emissions, lengths)
        tags = tags.where(within, 0)
        emitted = emissions.gather(2, tags.unsqueeze(2)).sum((0, 2))
        moved = self.transitions[tags[:-1], tags[1:]].masked_fill(~within[1:], 0.0).sum(0)
        last = tags.gather(0, (steps - 1).unsqueeze(0)).squeeze(0)
        return emitted + moved + self.start[tags[0]] + self.end[last]

    def log_partition(self, emissions: Tensor, lengths: Tensor) -> Tensor:
        """Return log Z, [B]: equations 2 to 4."""
        emissions, _, within = self._masked(emissions, lengths)
        alpha = self.start + emissions[0]
        for t in range(1, len(emissions)):
            longer = torch.logsumexp(alpha.unsqueeze(2) + self.transitions, 1) + emissions[t]
            alpha = torch.where(within[t].unsqueeze(1), longer, alpha)
        return torch.logsumexp(alpha + self.end, 1)

    def _masked(self, emissions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the emissions, 0 beyond a row's length; the lengths; and a mask [T, B], True within a row."""
        checks.dimensions("emissions", emissions, {3: "[T, B, K]"})
        steps = checks.lengths(lengths, emissions.shape[1], len(emissions)).to(emissions.device)
        within = torch.arange(len(emissions), device=emissions.device).unsqueeze(1) < steps
        return emissions.where(within.unsqueeze(2), 0.0), steps, within
