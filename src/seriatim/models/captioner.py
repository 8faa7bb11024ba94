"""A captioner (one to many): convolutions read a picture, and a recurrent decoder writes a text about it.

    picture → four stages of convolution → regions → decoder → words

The decoder starts from the mean of the regions (Vinyals 2015, Show and Tell). With ``attention`` it looks at the
regions before each word (Xu 2015, Show, Attend and Tell). A user's own feature vectors can replace the convolutions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from seriatim.models.contract import Carry
from seriatim.models.decoder import NO_TARGET, DecoderState, Memory, RecurrentDecoder
from seriatim.models.options import ModelOptions, layer_width
from seriatim.models.seq2seq import EncoderDecoder
from seriatim.nn.batch_norm import AcrossRows
from seriatim.nn.pooling import POOLINGS

STAGES = 4
"""Stages of convolution. Each has twice as many filters as the one before."""
FINEST = 4
"""A stage halves the sides of its input as long as they are longer than this: 64 pixels become 4 × 4 regions."""


@dataclass(frozen=True)
class Views:
    """P pictures."""

    inputs: Tensor
    """[P, C, H, W] float32 pixels, or [R, P, C] float32 feature vectors, padded at their ends."""
    lengths: Tensor | None = None
    """[P] int64: the number of vectors of each picture; None for pixels."""


@dataclass(frozen=True)
class CaptionBatch:
    """P pictures and their B captions."""

    SHARED: ClassVar[tuple[str, ...]] = ("views",)

    views: Views
    owners: Tensor
    """[B] int64: the picture of each caption."""
    targets: Tensor
    """[T, B] int64; each ends with the boundary, and ``NO_TARGET`` follows it."""

    @property
    def units(self) -> int:
        return int((self.targets != NO_TARGET).sum())


@dataclass(frozen=True)
class PictureSize:
    """The form of a picture: ``side``² pixels of ``channels`` colours; or, with side 0, vectors of ``channels``."""

    side: int
    channels: int


class Encoder(nn.Module, ABC):
    """A network from pictures to regions."""

    size: int
    """M, the width of a region."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Map pictures (``Views.inputs``) to regions [R, P, M]."""


@final
class Convolutions(Encoder):
    """Four stages of convolution with a shortcut (He 2016) and batch normalisation (Ioffe & Szegedy 2015).

    Two more channels hold the coordinates of each pixel (Liu 2018), which words like "left of" and "above" need.
    """

    coordinates: Tensor
    """[1, 2, H, W]."""

    def __init__(self, size: PictureSize, filters: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        width, side = size.channels + 2, size.side
        for stage in range(STAGES):
            stride = 2 if side > FINEST else 1
            stages.append(_Stage(width, filters << stage, stride))
            width, side = filters << stage, -(-side // stride)
        self.stages = nn.Sequential(*stages)
        self.size = width
        self.register_buffer("coordinates", _coordinates(size.side), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        coordinates = self.coordinates.expand(len(inputs), -1, -1, -1)
        regions: Tensor = self.stages(torch.cat([inputs, coordinates], 1))
        return regions.flatten(2).permute(2, 0, 1)


@final
class _Stage(nn.Module):
    """Two convolutions of 3 × 3, with a shortcut around the second."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.stay = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.first, self.second = (nn.BatchNorm2d(outputs) for _ in range(2))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.first(self.enter(inputs)))
        return torch.relu(hidden + self.second(self.stay(hidden)))


@final
class Features(Encoder):
    """A user's own feature vectors, each mapped to ``width`` numbers."""

    def __init__(self, size: PictureSize, width: int) -> None:
        super().__init__()
        self.affine = nn.Linear(size.channels, width)
        self.size = width

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(self.affine(inputs))


@final
class Captioner(EncoderDecoder[CaptionBatch]):
    """Encoder → regions and their mean → recurrent decoder.

    The context, tanh of an affine map of the mean region, starts the decoder. With ``peeky`` the decoder reads it at
    every step too. With ``attention`` it looks at the regions. ``filters`` is the number in the first convolution.
    """

    def __init__(
        self,
        options: ModelOptions,
        size: PictureSize,
        vocabulary_size: int,
        *,
        filters: int,
        peeky: bool = False,
        attention: str = "none",
        tie: bool = False,
    ) -> None:
        super().__init__()
        hidden = layer_width(options)
        self.encoder: Encoder = Convolutions(size, filters) if size.side else Features(size, hidden)
        self.region = nn.Linear(self.encoder.size, hidden)  # as wide as the decoder, so that each attention fits
        # The mean regions of pictures are similar. Batch normalisation removes what they have in common: with a norm
        # within a picture instead, the bundled scenes took three times as many updates to reach the same loss.
        self.context = nn.Sequential(nn.Linear(hidden, hidden, bias=False), AcrossRows(hidden), nn.Tanh())
        self.dropout = nn.Dropout(options.dropout)
        self.decoder = RecurrentDecoder(
            options, vocabulary_size, hidden, peeky=peeky, attention=attention, memory_size=hidden, tie=tie
        )
        self.boundary = self.decoder.boundary

    @property
    def embeddings(self) -> nn.Embedding:
        """The embedding of the words that are read and written. The last row belongs to the boundary."""
        return self.decoder.embedding

    def encode(self, views: Views) -> Memory:
        """Return the memory of the pictures."""
        regions = self.dropout(torch.relu(self.region(self.encoder(views.inputs))))
        return Memory(self.context(_mean(regions, views.lengths)), regions, views.lengths)

    def loss(self, batch: CaptionBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per unit of the captions, including their ends, in nats."""
        return self.decoder.loss(batch.targets, self.encode(batch.views).take(batch.owners)), ()

    def begin(self, sources: Views) -> DecoderState:
        return self.decoder.start(self.encode(sources))

    def begin_batch(self, batch: CaptionBatch) -> DecoderState:
        return self.begin(batch.views).take(batch.owners)

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        return self.decoder.step(tokens, state)


def _mean(regions: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the mean over the regions of each picture: [R, P, M] → [P, M]."""
    return regions.mean(0) if lengths is None else POOLINGS["mean"](regions, lengths)


def _coordinates(side: int) -> Tensor:
    """Return the row and column of each pixel, in [-1, 1]: [1, 2, H, W]."""
    line = torch.linspace(-1.0, 1.0, side) if side > 1 else torch.zeros(1)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"))[None]
