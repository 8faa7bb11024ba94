"""Sequence to sequence: an encoder reads the source, a decoder writes the target (Sutskever 2014; Cho 2014)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from seriatim.models.bodies import build_body
from seriatim.models.contract import BatchT, Carry, Trainable
from seriatim.models.decoder import NO_TARGET, DecoderState, Memory, RecurrentDecoder
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout, embedding_width, start_embedding
from seriatim.nn.pooling import POOLINGS

WIDE = 1.0
"""Embeddings start uniformly in ± this. From small ones the layers learn little at first, and attention learns late: on
dates, with embeddings of 16 and one epoch at lr 1e-3, 71 % exact matches from ± 1, none from ± 0.1."""

TIED = 0.1
"""The same for embeddings that are also the weights of the output, which would be overconfident from large ones."""


@dataclass(frozen=True)
class Sources:
    """B source texts."""

    inputs: Tensor
    """[S, B] int64, padded at their ends."""
    lengths: Tensor
    """[B] int64."""


@dataclass(frozen=True)
class PairBatch:
    """B source texts and their targets."""

    sources: Sources
    targets: Tensor
    """[T, B] int64; each ends with the boundary, and ``NO_TARGET`` follows it."""

    @property
    def units(self) -> int:
        return int((self.targets != NO_TARGET).sum())


class RowState(Protocol):
    """The state of a decoder in each of B sequences."""

    def take(self, rows: Tensor, /) -> Any:
        """Return the state of ``rows`` [N] int64, which may repeat."""


class EncoderDecoder(Trainable[BatchT]):
    """A network that reads a source and then writes one unit after another.

    Decoding needs only ``begin`` and ``step``: ``decoding.beam`` and ``decoding.sampling`` work with each such network.
    """

    boundary: int
    """The id before the first unit of a sequence and after its last. It is the largest id."""

    @abstractmethod
    def begin(self, sources: Any) -> Any:
        """Encode a batch of sources; return the ``RowState`` before the first unit."""

    @abstractmethod
    def begin_batch(self, batch: BatchT) -> Any:
        """Return the ``RowState`` before the first unit of each target of ``batch``."""

    @abstractmethod
    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any, Tensor | None]:
        """Read one unit [B] per row, ``boundary`` first.

        Returns log-probabilities of the next unit [B, V + 1], the state, and attention weights [B, S].
        """


@final
class RecurrentSeq2Seq(EncoderDecoder[PairBatch]):
    """Embedding → recurrent encoder → context → recurrent decoder, optionally with attention over the encoder's states.

    The context is the encoder's last output, in both directions if it has two. ``embedding_start`` is the standard
    deviation of the first embeddings. ``output_start`` is the deviation of the output's weights; its biases are then 0.
    """

    def __init__(
        self,
        options: ModelOptions,
        source_size: int,
        target_size: int,
        *,
        peeky: bool = False,
        attention: str = "none",
        tie: bool = False,
        teacher_forcing: float = 1.0,
        embedding_start: float | None = None,
        output_start: float | None = None,
    ) -> None:
        super().__init__()
        self.teacher_forcing = teacher_forcing
        width = embedding_width(options)
        self.embeddings = start_embedding(nn.Embedding(source_size, width), WIDE)
        self.dropout = dropout(options)
        self.encoder = build_body(options, width)
        size = self.encoder.output_size
        self.decoder = RecurrentDecoder(
            options,
            target_size,
            size,
            peeky=peeky,
            attention=attention,
            memory_size=size,
            tie=tie,
            embedding_start=TIED if tie else WIDE,
        )
        self.boundary = self.decoder.boundary
        if embedding_start is not None:
            for embedding in (self.embeddings, self.decoder.embedding):
                nn.init.normal_(embedding.weight, std=embedding_start)
        if output_start is not None and self.decoder.output is not None:
            nn.init.normal_(self.decoder.output.weight, std=output_start)
            nn.init.zeros_(self.decoder.output.bias)

    def encode(self, sources: Sources) -> Memory:
        """Return the memory of the sources."""
        states, _ = self.encoder(self.dropout(self.embeddings(sources.inputs)), (), sources.lengths)
        context = POOLINGS["last"](states, sources.lengths, self.encoder.directions)
        return Memory(context, states, sources.lengths)

    def loss(self, batch: PairBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per unit of the targets, including their ends, in nats."""
        return self.decoder.loss(batch.targets, self.encode(batch.sources), self.teacher_forcing), ()

    def begin(self, sources: Sources) -> DecoderState:
        return self.decoder.start(self.encode(sources))

    def begin_batch(self, batch: PairBatch) -> DecoderState:
        return self.begin(batch.sources)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        return self.decoder.step(tokens, state)


def padded_sources(sources: list[Any]) -> Sources:
    """Pad encoded texts, each [S] int32, into one batch."""
    lengths = torch.tensor([len(source) for source in sources])
    return Sources(_padded(sources, 0), lengths)


def padded_pairs(sources: list[Any], targets: list[Any]) -> PairBatch:
    """Pad encoded pairs into one batch. Each target, [T] int32, already ends with the boundary."""
    return PairBatch(padded_sources(sources), _padded(targets, NO_TARGET))


def _padded(sequences: list[Any], fill: int) -> Tensor:
    return nn.utils.rnn.pad_sequence([torch.from_numpy(sequence).long() for sequence in sequences], padding_value=fill)
