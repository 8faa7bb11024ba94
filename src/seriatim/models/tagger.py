"""Many to many, aligned: a tag for each word of a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.decoding.viterbi import viterbi
from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry, Trainable
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout, embedding_width, start_embedding
from seriatim.nn import GRU
from seriatim.nn.crf import CRF
from seriatim.nn.pooling import POOLINGS
from seriatim.notation import UNKNOWN

CHARACTER_WIDTH = 32
"""Of a character's embedding."""
WINDOW = 3
"""Characters that one filter of the convolution sees."""
NO_TAG = -1
"""Stands behind the end of a sentence."""


@dataclass(frozen=True)
class Spellings:
    """The U different words of a batch, letter by letter, and where each stands."""

    characters: Tensor
    """[L, U] int64, padded behind the ends."""
    lengths: Tensor
    """[U] int64."""
    places: Tensor
    """[T, B] int64: which of the U words stands there."""


@dataclass(frozen=True)
class TagBatch:
    """B sentences, padded behind their ends."""

    words: Tensor
    """[T, B] int64."""
    spellings: Spellings
    lengths: Tensor
    """[B] int64."""
    tags: Tensor
    """[T, B] int64, ``NO_TAG`` behind the ends."""

    @property
    def units(self) -> int:
        return int(self.lengths.sum())


@dataclass(frozen=True)
class TagSizes:
    """How many words, characters and tags there are, the unknown ones counted, and from which word on they are rare."""

    words: int
    characters: int
    tags: int
    rare: int
    """Words from this index on stood once in the training part."""


class SpellingReader(nn.Module):
    """Characters of a word → one vector of ``output_size``, so that the ending of an unknown word tells something."""

    output_size: int


@final
class RecurrentSpelling(SpellingReader):
    """The last states of a GRU that reads from both ends (Ling 2015)."""

    def __init__(self, characters: int, width: int) -> None:
        super().__init__()
        self.embedding = start_embedding(nn.Embedding(characters, CHARACTER_WIDTH), 0.5)
        self.layer = GRU(CHARACTER_WIDTH, width, bidirectional=True)
        self.output_size = 2 * width

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """[L, U], [U] → [U, output_size]."""
        _, last = self.layer(self.embedding(characters), lengths=lengths)
        return torch.cat([last[0], last[1]], -1)


@final
class ConvolutionalSpelling(SpellingReader):
    """The largest answer of each filter over the characters (dos Santos & Zadrozny 2014)."""

    def __init__(self, characters: int, width: int) -> None:
        super().__init__()
        self.embedding = start_embedding(nn.Embedding(characters, CHARACTER_WIDTH), 0.5)
        self.filters = nn.Conv1d(CHARACTER_WIDTH, 2 * width, WINDOW, padding=WINDOW // 2)
        self.output_size = 2 * width

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """[L, U], [U] → [U, output_size]."""
        within = torch.arange(len(characters)).unsqueeze(1) < lengths
        letters = self.embedding(characters) * within.unsqueeze(2)  # the padding of a word alone is 0 as well
        answers = self.filters(letters.permute(1, 2, 0)).permute(2, 0, 1)
        return functional.relu(POOLINGS["max"](answers, lengths))


SPELLINGS: dict[str, type[RecurrentSpelling] | type[ConvolutionalSpelling]] = {
    "birnn": RecurrentSpelling, "cnn": ConvolutionalSpelling
}  # fmt: skip
"""By the name of the option ``characters``."""


@final
class Tagger(Trainable[TagBatch]):
    """Words and their spelling → body → affine → a softmax per word, or one CRF per sentence.

    A word that stood once in the training part is read as unknown with probability ``word_dropout`` while training, so
    that the unknown word's vector is trained too. ``characters``: a name of ``SPELLINGS``, or ``none``.
    """

    def __init__(
        self, options: ModelOptions, sizes: TagSizes, *, characters: str, spelling: int, word_dropout: float, crf: bool
    ) -> None:
        super().__init__()
        width = embedding_width(options)
        self.embeddings = start_embedding(nn.Embedding(sizes.words, width))
        self.spelling = None if characters == "none" else SPELLINGS[characters](sizes.characters, spelling)
        self.rare, self.word_dropout = sizes.rare, word_dropout
        self.dropout = dropout(options)
        self.body = build_body(options, width + (self.spelling.output_size if self.spelling else 0))
        self.output = nn.Linear(self.body.output_size, sizes.tags)
        self.crf = CRF(sizes.tags) if crf else None

    def forward(self, words: Tensor, spellings: Spellings, lengths: Tensor) -> Tensor:
        """Return the score of each tag for each word, [T, B, K]; without a CRF they are logits."""
        inputs = self.embeddings(self._read(words))
        if self.spelling is not None:
            vectors = self.spelling(spellings.characters, spellings.lengths)
            inputs = torch.cat([inputs, vectors[spellings.places]], -1)
        states, _ = self.body(self.dropout(inputs), (), lengths)
        emissions: Tensor = self.output(states)
        return emissions

    def loss(self, batch: TagBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean negative log-likelihood per word in nats."""
        return self.nll(self(batch.words, batch.spellings, batch.lengths).float(), batch), ()

    def nll(self, emissions: Tensor, batch: TagBatch) -> Tensor:
        """Return the same from the scores [T, B, K]."""
        if self.crf is None:
            return functional.cross_entropy(emissions.flatten(0, 1), batch.tags.flatten(), ignore_index=NO_TAG)
        total: Tensor = self.crf(emissions, batch.tags, batch.lengths).sum()
        return -total / batch.lengths.sum()

    def decode(self, emissions: Tensor, lengths: Tensor) -> list[np.ndarray[Any, Any]]:
        """Return the likeliest tags of each sentence, [T] int64 each: word by word, or as a whole with a CRF."""
        scores, ends = emissions.detach().float().numpy(), lengths.numpy()
        if self.crf is None:
            return [scores[:end, row].argmax(1) for row, end in enumerate(ends)]
        transitions, start, end = (one.detach().numpy() for one in (self.crf.transitions, self.crf.start, self.crf.end))
        return viterbi(scores, ends, transitions, start, end)[0]

    def _read(self, words: Tensor) -> Tensor:
        if not self.training or not self.word_dropout:
            return words
        gone = (words >= self.rare) & (torch.rand(words.shape) < self.word_dropout)
        return words.masked_fill(gone, UNKNOWN)
