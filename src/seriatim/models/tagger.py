"""A tagger: a tag for each word of a sentence (many to many, aligned)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.decoding.viterbi import viterbi
from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry, Trainable
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout, embedding_width, start_embedding
from seriatim.models.subwords import SubwordBatch, SubwordVectors
from seriatim.nn import GRU
from seriatim.nn.crf import CRF
from seriatim.nn.pooling import POOLINGS
from seriatim.notation import UNKNOWN

CHARACTER_WIDTH = 32
"""The width of a character's embedding."""
WINDOW = 3
"""The width of a filter in characters."""
NO_TAG = -1
"""The padding of tags."""


@dataclass(frozen=True)
class Spellings:
    """The U different words of a batch as characters, and their positions."""

    SHARED: ClassVar[tuple[str, ...]] = ("characters", "lengths")

    characters: Tensor
    """[L, U] int64, padded at the ends."""
    lengths: Tensor
    """[U] int64."""
    places: Tensor
    """[T, B] int64: the index among the U words at each position."""


@dataclass(frozen=True)
class TagBatch:
    """B sentences, padded at their ends."""

    words: Tensor
    """[T, B] int64."""
    spellings: Spellings
    lengths: Tensor
    """[B] int64."""
    tags: Tensor
    """[T, B] int64, ``NO_TAG`` beyond the ends."""
    subwords: SubwordBatch | None = None
    """The n-grams of the words, if the model reads them."""

    @property
    def units(self) -> int:
        return int(self.lengths.sum())


@dataclass(frozen=True)
class TagSizes:
    """The numbers of words, characters and tags, including unknown ones, the first rare word, and the n-grams."""

    words: int
    characters: int
    tags: int
    rare: int
    """Words from this index on occur once in the training part."""
    subwords: int = 0
    """The number of buckets of n-grams; 0 if words are read without them."""


class SpellingReader(nn.Module):
    """A network from the characters of a word to a vector of ``output_size``, which helps with unknown words."""

    output_size: int


@final
class RecurrentSpelling(SpellingReader):
    """The last states of a bidirectional GRU (Ling 2015)."""

    def __init__(self, characters: int, width: int) -> None:
        super().__init__()
        self.embedding = start_embedding(nn.Embedding(characters, CHARACTER_WIDTH), 0.5)
        self.layer = GRU(CHARACTER_WIDTH, width, bidirectional=True)
        self.output_size = 2 * width

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Map characters [L, U] and lengths [U] to vectors [U, output_size]."""
        _, last = self.layer(self.embedding(characters), lengths=lengths)
        return torch.cat([last[0], last[1]], -1)


@final
class ConvolutionalSpelling(SpellingReader):
    """The maximum of each filter over the characters (dos Santos & Zadrozny 2014)."""

    def __init__(self, characters: int, width: int) -> None:
        super().__init__()
        self.embedding = start_embedding(nn.Embedding(characters, CHARACTER_WIDTH), 0.5)
        self.filters = nn.Conv1d(CHARACTER_WIDTH, 2 * width, WINDOW, padding=WINDOW // 2)
        self.output_size = 2 * width

    def forward(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Map characters [L, U] and lengths [U] to vectors [U, output_size]."""
        # Zeros beyond the end of a word, as the convolution's own padding has them for a word alone.
        is_valid = torch.arange(len(characters)).unsqueeze(1) < lengths
        letters = self.embedding(characters) * is_valid.unsqueeze(2)
        answers = self.filters(letters.permute(1, 2, 0)).permute(2, 0, 1)
        return functional.relu(POOLINGS["max"](answers, lengths))


SPELLINGS: dict[str, type[RecurrentSpelling] | type[ConvolutionalSpelling]] = {
    "birnn": RecurrentSpelling, "cnn": ConvolutionalSpelling
}  # fmt: skip
"""The readers, by the names of the option ``characters``."""


class SentenceTagger(Trainable[TagBatch]):
    """A network that gives a score of each tag for each word: a softmax per word, or one CRF per sentence."""

    @abstractmethod
    def forward(
        self, words: Tensor, spellings: Spellings, lengths: Tensor, subwords: SubwordBatch | None = None
    ) -> Tensor:
        """Return the score of each tag for each word, [T, B, K]. Without a CRF they are logits."""

    @abstractmethod
    def chain(self) -> CRF | None:
        """Return the CRF over the tags of a sentence, if there is one."""

    def loss(self, batch: TagBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean negative log-likelihood per word in nats."""
        return self.nll(self.emissions(batch).float(), batch), ()

    def emissions(self, batch: TagBatch) -> Tensor:
        """Return the scores of ``forward`` for a batch, [T, B, K]."""
        scores: Tensor = self(batch.words, batch.spellings, batch.lengths, batch.subwords)
        return scores

    def nll(self, emissions: Tensor, batch: TagBatch) -> Tensor:
        """Return the mean negative log-likelihood per word in nats, from the scores [T, B, K]."""
        chain = self.chain()
        if chain is None:
            return functional.cross_entropy(emissions.flatten(0, 1), batch.tags.flatten(), ignore_index=NO_TAG)
        total: Tensor = chain(emissions, batch.tags, batch.lengths).sum()
        return -total / batch.lengths.sum()

    def decode(self, emissions: Tensor, lengths: Tensor) -> list[np.ndarray[Any, Any]]:
        """Return the likeliest tags [T] of each sentence, int64. With a CRF this is the likeliest sequence of tags."""
        scores, ends, chain = emissions.detach().float().numpy(), lengths.numpy(), self.chain()
        if chain is None:
            return [scores[:end, row].argmax(1) for row, end in enumerate(ends)]
        transitions, start, end = (
            parameter.detach().numpy() for parameter in (chain.transitions, chain.start, chain.end)
        )
        return viterbi(scores, ends, transitions, start, end)[0]


@final
class Tagger(SentenceTagger):
    """Words and their spelling → body → affine → a softmax per word, or one CRF per sentence.

    While training, a word that occurs once in the training part is read as unknown with probability ``word_dropout``,
    so that the vector of unknown words is trained too; such a word keeps its spelling and its n-grams. ``characters``
    is a name in ``SPELLINGS``, or ``none``.
    """

    def __init__(
        self, options: ModelOptions, sizes: TagSizes, *, characters: str, spelling: int, word_dropout: float, crf: bool
    ) -> None:
        super().__init__()
        width = embedding_width(options)
        self.embeddings = start_embedding(nn.Embedding(sizes.words, width))
        self.subwords = SubwordVectors(sizes.subwords, width) if sizes.subwords else None
        self.spelling = None if characters == "none" else SPELLINGS[characters](sizes.characters, spelling)
        self.rare, self.word_dropout = sizes.rare, word_dropout
        self.dropout = dropout(options)
        self.body = build_body(options, width + (self.spelling.output_size if self.spelling else 0))
        self.output = nn.Linear(self.body.output_size, sizes.tags)
        self.crf = CRF(sizes.tags) if crf else None

    def forward(
        self, words: Tensor, spellings: Spellings, lengths: Tensor, subwords: SubwordBatch | None = None
    ) -> Tensor:
        inputs = self.embeddings(self._read(words))
        if self.subwords is not None:
            assert subwords is not None, "the model reads n-grams"
            inputs = inputs + self.subwords(subwords)
        if self.spelling is not None:
            vectors = self.spelling(spellings.characters, spellings.lengths)
            inputs = torch.cat([inputs, vectors[spellings.places]], -1)
        states, _ = self.body(self.dropout(inputs), (), lengths)
        emissions: Tensor = self.output(states)
        return emissions

    def chain(self) -> CRF | None:
        return self.crf

    def _read(self, words: Tensor) -> Tensor:
        """Return the words with word dropout."""
        if not self.training or not self.word_dropout:
            return words
        is_dropped = (words >= self.rare) & (torch.rand(words.shape) < self.word_dropout)
        return words.masked_fill(is_dropped, UNKNOWN)
