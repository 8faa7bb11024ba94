"""Vectors of words to which the vectors of their n-grams are added (``encoding/subwords.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.subwords import hashed_grams
from seriatim.notation import UNKNOWN
from seriatim.runtime.arithmetic import Floats
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile

Array = NDArray[Any]

BLOCK: Final = 2000
"""Words whose n-grams are gathered together."""


def read_subwords(network: Description, weights: WeightFile, buckets: int, width: int) -> SubwordVectors | None:
    """Read the vectors of n-grams, [buckets, width]; None for a network that reads words without them."""
    if not network.has("subwords") or not network.flag("subwords"):
        return None
    if not buckets:
        network.refuse("subwords", "no n-grams, as the codec has none")
    return SubwordVectors(weights.take("subwords", buckets, width))


@final
class SubwordVectors:
    """The vectors of the n-grams' buckets, [buckets, D]."""

    def __init__(self, weight: Floats) -> None:
        self._weight = weight

    def of_words(self, words: Sequence[str]) -> Floats:
        """Return the mean of the vectors of each word's n-grams, [N, D]; zeros for a word without n-grams."""
        grams = hashed_grams(words, len(self._weight))
        result = np.zeros((len(words), self._weight.shape[1]), np.float32)
        has_grams = grams.counts > 0
        if has_grams.any():
            starts = (np.cumsum(grams.counts) - grams.counts)[has_grams]
            sums = np.add.reduceat(self._weight[grams.buckets], starts, axis=0)
            result[has_grams] = sums / grams.counts[has_grams, None].astype(np.float32)
        return result

    def added_to(self, embedding: Floats, words: Sequence[str]) -> Floats:
        """Return the embedding [V, D] of ``words`` with the n-grams of all words but the unknown one."""
        result: Floats = embedding.copy()
        for start in range(0, len(words), BLOCK):  # block by block, because all n-grams at once need much memory
            result[start : start + BLOCK] += self.of_words(words[start : start + BLOCK])
        result[UNKNOWN] = embedding[UNKNOWN]
        return result

    def add_to_unknown(self, vectors: Floats, ids: Array, words: Sequence[str]) -> None:
        """Add the n-grams of the unknown words among ``words`` [N] to their ``vectors`` [N, D], in place."""
        unknown = np.flatnonzero(ids == UNKNOWN).tolist()
        if unknown:
            vectors[unknown] += self.of_words([words[index] for index in unknown])
