"""A regression of whole sequences (many to one): the mean and the quantiles of a number."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.classifier import SequenceClassifier
from seriatim.models.contract import Carry, Trainable
from seriatim.models.subwords import SubwordBatch
from seriatim.notation import QUANTILES

OUTPUTS = 1 + len(QUANTILES)
"""Outputs of the network per sequence: the mean and the quantiles."""


@dataclass(frozen=True)
class RegressionBatch:
    """B sequences, padded at their ends."""

    inputs: Tensor
    """[T, B] int64 units, or [T, B, C] float32 channels."""
    lengths: Tensor
    """[B] int64."""
    targets: Tensor
    """[B] float32, standardized."""
    subwords: SubwordBatch | None = None
    """The n-grams of the words, if the network reads them."""

    @property
    def units(self) -> int:
        return int(self.lengths.sum())


class SequenceRegressor(Trainable[RegressionBatch]):
    """A network that gives a mean and quantiles per sequence.

    Each is trained by its own loss: the mean by half the squared error, the quantiles by the quantile loss (Koenker &
    Bassett 1978). So better intervals do not make the point forecast worse.
    """

    def __init__(self) -> None:
        super().__init__()
        self.levels: Tensor
        self.register_buffer("levels", torch.tensor(QUANTILES), persistent=False)

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        """Map padded sequences ``[T, B]`` or ``[T, B, C]`` to ``[B, 1 + Q]``: the mean, then rising quantiles."""

    def terms(self, batch: RegressionBatch) -> float:
        return len(batch.targets)

    def loss(self, batch: RegressionBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return half the mean squared error plus the mean quantile loss, per sequence."""
        error = batch.targets[:, None] - self(batch.inputs, batch.lengths, batch.subwords)
        miss = error[:, 1:]
        pinball = torch.maximum(self.levels * miss, (self.levels - 1) * miss)
        return 0.5 * error[:, 0].square().mean() + pinball.mean(), ()


@final
class Regressor(SequenceRegressor):
    """A network with ``OUTPUTS`` numbers per sequence, which become a mean and quantiles that never cross."""

    def __init__(self, network: SequenceClassifier) -> None:
        super().__init__()
        self.network = network

    @property
    def embeddings(self) -> nn.Embedding:
        """The embedding of the words, if the network reads words."""
        embeddings: nn.Embedding = self.network.embeddings
        return embeddings

    def forward(self, inputs: Tensor, lengths: Tensor, subwords: SubwordBatch | None = None) -> Tensor:
        values = self.network(inputs, lengths, subwords).float()
        mean, middle, gaps = values[:, :1], values[:, 1:2], functional.softplus(values[:, 2:])
        rising = functional.pad(gaps.cumsum(-1), (1, 0))
        return torch.cat([mean, middle + rising - rising.mean(-1, keepdim=True)], -1)
