"""Tables of the scores that taggers give to the tags of whole sentences. Tables of several taggers can be mixed.

A CRF scores a sequence of tags by emissions, transitions, start and end (``nn/crf.py``, equation 1). A tagger without a
CRF has log-probabilities in place of the emissions, and transitions of 0. Both are one table [W + K + 2, K]: a row for
each of the W words of N sentences, the K rows of the transitions, the start and the end. A weighted sum of tables is
the table of a CRF that multiplies the taggers' distributions (``decoding/mixing.py``, equation 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from seriatim.decoding.viterbi import viterbi
from seriatim.encoding.buckets import token_buckets
from seriatim.tasks.common.tag_codec import Sentences

Array = np.ndarray[Any, Any]

AT_ONCE: Final = 128
"""The most sentences that are scored at once."""
WORDS_AT_ONCE: Final = 8192
"""The most words that are scored at once, with padding."""


def score_table(scores: Sequence[Array], edges: tuple[Array, Array, Array] | None = None) -> Array:
    """Return the table of the scores [T, K] of each sentence, and of ``edges``: transitions [K, K], start and end [K].

    Without ``edges`` they are 0.
    """
    size = scores[0].shape[1]
    below = np.zeros((size + 2, size)) if edges is None else np.concatenate([edges[0], edges[1][None], edges[2][None]])
    return np.concatenate([*scores, below])


def sentence_losses(table: Tensor, sentences: Sentences, chain: nn.Module) -> Tensor:
    """Return −log p of the tags of each of N sentences, [N], by a CRF with the scores of ``table``.

    ``chain`` is a ``CRF`` of as many tags; its own scores are not used. A gradient flows into ``table``.
    """
    size = table.shape[1]
    edges = {"transitions": table[-size - 2 : -2], "start": table[-2], "end": table[-1]}
    losses, order = [], []
    for indices, places in _batches(sentences.lengths):
        tags = np.zeros(places.shape, np.int64)
        for row, index in enumerate(indices):
            tags[: len(sentences.tags[index]), row] = sentences.tags[index]
        lengths = torch.from_numpy(sentences.lengths[indices])
        losses.append(-torch.func.functional_call(chain, edges, (table[places], torch.from_numpy(tags), lengths)))
        order.append(indices)
    return torch.cat(losses)[np.argsort(np.concatenate(order))]


def likeliest_tags(table: Array, lengths: Array) -> list[Array]:
    """Return the sequence of tags with the highest score of each sentence, [T] int64 each."""
    size = table.shape[1]
    result: list[Array] = [np.zeros(0, np.int64)] * len(lengths)
    for indices, places in _batches(lengths):
        paths, _ = viterbi(table[places], lengths[indices], table[-size - 2 : -2], table[-2], table[-1])
        for index, path in zip(indices, paths, strict=True):
            result[index] = path
    return result


def _batches(lengths: Array) -> Iterator[tuple[Array, Array]]:
    """Yield indices of B sentences, and the rows [T, B] of their words in a table. Padding has some word's row."""
    starts = np.cumsum(lengths) - lengths
    for indices in token_buckets(lengths, AT_ONCE, WORDS_AT_ONCE, seed=None):
        steps = np.minimum(np.arange(lengths[indices].max())[:, None], lengths[indices] - 1)
        yield indices, starts[indices] + steps
