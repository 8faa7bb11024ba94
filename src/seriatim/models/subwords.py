"""Vectors of character n-grams, which are added to the vectors of words (Bojanowski 2017).

The vector of word w with the n-grams G(w) is

    v(w) = e(w) + 1/|G(w)| · Σ_{g ∈ G(w)} z(g)                                   (1)

where e is the embedding of the word, or of ``<unk>`` for an unknown word. (Bojanowski 2017 takes a sum.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class SubwordBatch:
    """The n-grams of the U different words of a batch, and the positions of these words."""

    SHARED: ClassVar[tuple[str, ...]] = ("buckets", "starts")

    buckets: Tensor
    """[G] int64: the n-grams of all words, one word after the other."""
    starts: Tensor
    """[U] int64: the first n-gram of each word."""
    places: Tensor
    """[T, B] int64: the index among the U words at each position."""

    def before(self, step: int) -> SubwordBatch:
        """Return the words at the positions before ``step``."""
        return replace(self, places=self.places[:step])


@final
class SubwordVectors(nn.Module):
    """The vectors z of (1), one for each bucket of n-grams.

    They start at zero: without training an n-gram changes no word, nor does it in a new word if the training part
    lacks it.
    """

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(buckets, width))

    def forward(self, batch: SubwordBatch) -> Tensor:
        """Return the sum of (1) without e(w) at each position, [T, B, D]. A word without n-grams has zeros."""
        means = functional.embedding_bag(batch.buckets, self.weight, batch.starts, mode="mean")
        return means[batch.places]
