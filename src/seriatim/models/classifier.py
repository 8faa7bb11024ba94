"""Classifiers of whole sequences (many to one): a recurrent one, and a bag of embeddings that ignores order."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.errors import UsageError
from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry, Trainable
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout, embedding_width, start_embedding
from seriatim.models.subwords import SubwordBatch, SubwordVectors
from seriatim.nn.pooling import POOLINGS
from seriatim.notation import UNKNOWN


@dataclass(frozen=True)
class SequenceBatch:
    """B sequences, padded at their ends."""

    inputs: Tensor
    """[T, B] int64 units, or [T, B, C] float32 channels."""
    lengths: Tensor
    """[B] int64."""
    labels: Tensor
    """[B] int64."""
    subwords: SubwordBatch | None = None
    """The n-grams of the words, if the network reads them."""

    @property
    def units(self) -> int:
        return int(self.lengths.sum())


@dataclass(frozen=True)
class InputSize:
    """The form of one step of a sequence: one of ``vocabulary`` units, or ``channels`` numbers.

    ``subwords`` is the number of buckets of n-grams, or 0 if words are read without them.
    """

    vocabulary: int = 0
    channels: int = 0
    subwords: int = 0


class SequenceClassifier(Trainable[SequenceBatch]):
    """A network that gives one vector of class logits per sequence."""

    reader: nn.Module
    """The layer that turns one step into a vector."""

    @property
    def embeddings(self) -> nn.Embedding:
        """The embedding of the units, if the network reads units."""
        assert isinstance(self.reader, nn.Embedding)
        return self.reader

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        """Map padded sequences ``[T, B]`` or ``[T, B, C]`` and their lengths to logits ``[B, K]``."""

    def terms(self, batch: SequenceBatch) -> float:
        return len(batch.labels)

    def loss(self, batch: SequenceBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per sequence in nats."""
        logits = self(batch.inputs, batch.lengths, batch.subwords)
        return functional.cross_entropy(logits.float(), batch.labels), ()


def _reader(size: InputSize, width: int) -> tuple[nn.Module, int]:
    """Make the layer that turns one step into a vector, and its width: an embedding for units, nothing for numbers."""
    if size.vocabulary:
        return start_embedding(nn.Embedding(size.vocabulary, width)), width
    return nn.Identity(), size.channels


@final
class RecurrentClassifier(SequenceClassifier):
    """Embedding or channels → recurrent layers → pooled state → affine.

    While training, each unit is read as unknown with probability ``word_dropout`` (Iyyer 2015); a word keeps its
    n-grams. Raises ``UsageError`` for a word dropout of numbers.
    """

    def __init__(
        self, options: ModelOptions, size: InputSize, classes: int, *, pool: str, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        if word_dropout and not size.vocabulary:
            raise UsageError("word_dropout: for texts, not numbers or sound")
        self.word_dropout = word_dropout
        self.reader, width = _reader(size, embedding_width(options))
        self.subwords = SubwordVectors(size.subwords, width) if size.subwords else None
        self.dropout = dropout(options) if size.vocabulary else nn.Identity()
        self.stack = build_body(options, width)
        self.pool = POOLINGS[pool]
        self.output = nn.Linear(self.stack.output_size, classes)

    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        if self.training and self.word_dropout:
            inputs = inputs.masked_fill(torch.rand(inputs.shape) < self.word_dropout, UNKNOWN)
        vectors = self.reader(inputs)
        if self.subwords is not None:
            assert subwords is not None, "the network reads n-grams"
            vectors = vectors + self.subwords(subwords)
        states, _ = self.stack(self.dropout(vectors), (), lengths)
        logits: Tensor = self.output(self.pool(states, lengths, self.stack.directions))
        return logits


@final
class Bag(SequenceClassifier):
    """The mean of a sequence's embeddings (or channels) → affine. Order is lost (after Joulin 2017).

    It reads words without their n-grams.
    """

    def __init__(self, size: InputSize, width: int, classes: int) -> None:
        super().__init__()
        self.reader, width = _reader(size, width)
        self.output = nn.Linear(width, classes)

    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        logits: Tensor = self.output(POOLINGS["mean"](self.reader(inputs), lengths))
        return logits
