"""CBOW with negative sampling (Mikolov 2013): word vectors from the company that words keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from seriatim.notation import UNKNOWN


@dataclass(frozen=True)
class ContextBatch:
    """B words with the words around them."""

    contexts: Tensor
    """[B, 2τ] int64; ``UNKNOWN`` fills the places where there is none."""
    centres: Tensor
    """[B] int64."""
    noise: Tensor
    """[K] int64: words drawn at random, the same for all B."""


@final
class WordVectors:
    """A word is told from random ones by the mean m of the vectors v around it, with output vectors u:

        loss = -log σ(m · u_centre) - weight · mean_k log σ(-m · u_k)                (1)

    Mikolov draws a few random words per word; here all B words of a batch share K of them, which count as much
    together: one product instead of as many gathers. Gradients are written out and only touch the rows that a batch
    names; each row has one step size, by AdaGrad (Duchi 2011).
    """

    def __init__(self, vocabulary_size: int, width: int, weight: float, generator: torch.Generator) -> None:
        self.weight = weight
        self.vectors = (torch.rand(vocabulary_size, width, generator=generator) - 0.5) / width
        self.vectors[UNKNOWN] = 0.0
        self.outputs = torch.zeros(vocabulary_size, width)
        self._seen = torch.full((2, vocabulary_size), 1e-10)
        """Mean squared gradients so far, of each row of the two."""

    def step(self, batch: ContextBatch, rate: float) -> float:
        """Take one step down the gradient of (1); return its mean before the step."""
        present = (batch.contexts != UNKNOWN).to(self.vectors.dtype)
        shares = present / present.sum(1, keepdim=True).clamp(min=1.0)
        means = functional.embedding_bag(batch.contexts, self.vectors, per_sample_weights=shares, mode="sum")
        right, wrong = self.outputs[batch.centres], self.outputs[batch.noise]
        towards, away = (means * right).sum(1), means @ wrong.t()
        share = 1.0 / len(means)
        by_right = share * (torch.sigmoid(towards) - 1.0)  # ∂ loss / ∂ m · u_centre
        by_wrong = share * self.weight / len(wrong) * torch.sigmoid(away)  # ∂ loss / ∂ m · u_k
        by_means = by_right[:, None] * right + by_wrong @ wrong
        self._descend(0, batch.contexts.flatten(), (shares[:, :, None] * by_means[:, None]).flatten(0, 1), rate)
        self._descend(
            1,
            torch.cat([batch.centres, batch.noise]),
            torch.cat([by_right[:, None] * means, by_wrong.t() @ means]),
            rate,
        )
        return float(functional.softplus(-towards).mean() + self.weight * functional.softplus(away).mean())

    def _descend(self, table: int, ids: Tensor, gradients: Tensor, rate: float) -> None:
        rows, places = torch.unique(ids, return_inverse=True)
        sums = gradients.new_zeros(len(rows), gradients.shape[1]).index_add_(0, places, gradients)
        seen = self._seen[table, rows] + sums.square().mean(1)
        self._seen[table, rows] = seen
        (self.vectors, self.outputs)[table].index_add_(0, rows, sums / seen.sqrt()[:, None], alpha=-rate)
