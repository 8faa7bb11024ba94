"""The n-grams of the words that ``tag``, ``classify`` and ``regress`` read with ``--subwords``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seriatim.encoding.buckets import pad
from seriatim.encoding.subwords import Grams, hashed_grams, words_of
from seriatim.encoding.unit_choice import AUTO
from seriatim.errors import UsageError
from seriatim.models.subwords import SubwordBatch
from seriatim.tasks.options import SubwordOptions

Array = np.ndarray[Any, Any]


def check_subwords(options: SubwordOptions, baselines: Collection[str]) -> None:
    """Refuse n-grams of other units than words, and for the ``baselines``, which read none. Raises ``UsageError``."""
    if not options.subwords:
        default = SubwordOptions.__dataclass_fields__["subword_buckets"].default
        if options.subword_buckets != default:
            raise UsageError("subword_buckets: needs --subwords")
        return
    if options.unit not in ("word", AUTO):
        raise UsageError(f"subwords: for words, not --unit {options.unit}")
    if options.model in baselines:
        raise UsageError(f"subwords: for networks, not {options.model}")


@dataclass(frozen=True)
class WordForms:
    """The different words of N texts with their n-grams."""

    places: list[Array]
    """[T] int64 each: the index of each word of a text among the different words."""
    grams: Grams

    @classmethod
    def of(cls, texts: Sequence[str], buckets: int) -> WordForms:
        """Split ``texts`` into words, and hash the n-grams of each different word into ``buckets``."""
        indices: dict[str, int] = {}
        places = [
            np.array([indices.setdefault(word, len(indices)) for word in words_of(text)], np.int64) for text in texts
        ]
        return cls(places, hashed_grams(list(indices), buckets))

    def last(self, indices: Array, steps: int) -> WordForms:
        """Return the last ``steps`` words of the texts at ``indices``."""
        return WordForms([self.places[index][-steps:] for index in indices], self.grams)

    def batch(self, indices: Array) -> SubwordBatch:
        """Return the n-grams of the texts at ``indices``. Padding has the place of some word."""
        forms, _ = pad([self.places[index] for index in indices], self.places[indices[0]][0])
        unique_forms, indices_of_forms = np.unique(forms, return_inverse=True)
        return subword_batch(self.grams.take(unique_forms), torch.from_numpy(indices_of_forms.reshape(forms.shape)))


def subword_batch(grams: Grams, places: Tensor) -> SubwordBatch:
    """Return the n-grams of the different words of a batch, which are at ``places`` [T, B]."""
    starts = np.cumsum(grams.counts) - grams.counts
    return SubwordBatch(torch.from_numpy(grams.buckets), torch.from_numpy(starts), places)
