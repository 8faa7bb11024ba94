"""Models of piano rolls: each step has several notes, each on or off (Boulanger-Lewandowski 2012)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry, Trainable
from seriatim.models.options import ModelOptions


@dataclass(frozen=True)
class RollBatch:
    """B pieces with K notes, padded with silence."""

    notes: Tensor
    """[T, B, K] float32 of 0 and 1."""
    lengths: Tensor
    """[B] int64."""

    @property
    def units(self) -> int:
        return int(self.lengths.sum())


class RollNetwork(Trainable[RollBatch]):
    """A network that gives a logit per note of the next step. The input of the first step is silence."""

    @abstractmethod
    def forward(self, previous: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        """Map the previous step of each step ``[T, B, K]`` to logits of the step, and return the carry after them."""

    def losses(self, batch: RollBatch) -> Tensor:
        """Return the negative log-probability of each step in nats, summed over notes: [T, B], 0 beyond an end."""
        entropy = self.note_losses(batch)
        is_padding = torch.arange(len(entropy))[:, None] >= batch.lengths
        return entropy.sum(-1).masked_fill(is_padding, 0.0)

    def note_losses(self, batch: RollBatch) -> Tensor:
        """Return the negative log-probability of each note in nats, [T, B, K], which means nothing beyond an end."""
        previous = functional.pad(batch.notes[:-1], (0, 0, 0, 0, 1, 0))
        logits, _ = self(previous, (), batch.lengths)
        return functional.binary_cross_entropy_with_logits(logits.float(), batch.notes, reduction="none")

    def loss(self, batch: RollBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean negative log-probability per step in nats. Pieces are whole, so the carry is empty."""
        return self.losses(batch).sum() / batch.lengths.sum(), ()


@final
class RollModel(RollNetwork):
    """Notes → body → affine → a logit per note of the next step."""

    def __init__(self, options: ModelOptions, notes: int) -> None:
        super().__init__()
        self.stack = build_body(options, notes, causal=True)
        self.output = nn.Linear(self.stack.output_size, notes)

    def forward(self, previous: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        states, carry = self.stack(previous, carry, lengths)
        return self.output(states), carry
