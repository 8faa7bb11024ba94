"""CBOW with negative sampling (Mikolov 2013): word vectors from the words around each word.

This file trains vectors. ``encoding/vectors.py`` reads and writes files of them, and ``tasks/common/word_vectors.py``
uses both to make the initial embeddings of a model.
"""

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
    """[B, 2τ] int64; ``UNKNOWN`` where there is no word."""
    centres: Tensor
    """[B] int64."""
    noise: Tensor
    """[K] int64: words drawn at random, the same for all B."""


@final
class WordVectors:
    """The vectors v of words, trained to distinguish a word from random ones by the mean m of the vectors around it.

    With output vectors u:

        loss = -log σ(m · u_centre) - weight · mean_k log σ(-m · u_k)                (1)

    Mikolov draws a few random words per word. Here all B words of a batch share K of them, with the same total weight:
    one product instead of many gathers. The gradients are written by hand and change only the rows of the words in a
    batch. Each row has its own step size, by AdaGrad (Duchi 2011).
    """

    def __init__(self, vocabulary_size: int, width: int, weight: float, generator: torch.Generator) -> None:
        self.weight = weight
        self.vectors = (torch.rand(vocabulary_size, width, generator=generator) - 0.5) / width
        self.vectors[UNKNOWN] = 0.0
        self.outputs = torch.zeros(vocabulary_size, width)
        self._squares = torch.full((2, vocabulary_size), 1e-10)
        """The sum of mean squared gradients so far, for each row of both tables."""

    def step(self, batch: ContextBatch, rate: float) -> float:
        """Take one gradient step on (1); return the mean loss before the step."""
        present = (batch.contexts != UNKNOWN).to(self.vectors.dtype)
        shares = present / present.sum(1, keepdim=True).clamp(min=1.0)
        means = functional.embedding_bag(batch.contexts, self.vectors, per_sample_weights=shares, mode="sum")
        centres, noise = self.outputs[batch.centres], self.outputs[batch.noise]
        centre_scores, noise_scores = (means * centres).sum(1), means @ noise.t()
        share = 1.0 / len(means)
        of_centres = share * (torch.sigmoid(centre_scores) - 1.0)  # ∂ loss / ∂ m · u_centre
        of_noise = share * self.weight / len(noise) * torch.sigmoid(noise_scores)  # ∂ loss / ∂ m · u_k
        of_means = of_centres[:, None] * centres + of_noise @ noise
        self._descend(0, batch.contexts.flatten(), (shares[:, :, None] * of_means[:, None]).flatten(0, 1), rate)
        self._descend(
            1,
            torch.cat([batch.centres, batch.noise]),
            torch.cat([of_centres[:, None] * means, of_noise.t() @ means]),
            rate,
        )
        return float(
            functional.softplus(-centre_scores).mean() + self.weight * functional.softplus(noise_scores).mean()
        )

    def _descend(self, table: int, ids: Tensor, gradients: Tensor, rate: float) -> None:
        rows, places = torch.unique(ids, return_inverse=True)
        sums = gradients.new_zeros(len(rows), gradients.shape[1]).index_add_(0, places, gradients)
        squares = self._squares[table, rows] + sums.square().mean(1)
        self._squares[table, rows] = squares
        (self.vectors, self.outputs)[table].index_add_(0, rows, sums / squares.sqrt()[:, None], alpha=-rate)
