"""The recurrent language model (Mikolov 2010): embedding → recurrent layers → affine → softmax."""

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


@dataclass(frozen=True)
class LanguageBatch:
    """A stretch of B streams: what is read and what comes next."""

    inputs: Tensor
    """[K, B] int64; the unit before each target."""
    targets: Tensor
    """[K, B] int64."""

    @property
    def units(self) -> int:
        return self.targets.numel()


class NeuralLanguageModel(Trainable):
    """A network that gives logits of the next unit at every step."""

    @abstractmethod
    def forward(self, inputs: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        """Map units ``[K, B]`` and a state to logits ``[K, B, V]`` and the state after them."""

    def loss(self, batch: object, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per unit in nats, and the state."""
        assert isinstance(batch, LanguageBatch)
        logits, carry = self(batch.inputs, carry)
        return functional.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten()), carry


@final
class RecurrentLanguageModel(NeuralLanguageModel):
    """Embedding → stacked recurrent layers → affine, optionally with the embedding as output weights.

    Tying follows Press & Wolf (2017). While training, each stream's carried state starts anew at zero with chance
    ``restart`` (Melis 2018): a network that has only ever gone on from its own state can be lost when it starts.
    """

    def __init__(self, options: ModelOptions, vocabulary_size: int, *, tie: bool, restart: float) -> None:
        super().__init__()
        self.restart = restart
        width = options.hidden if tie else embedding_width(options)
        if tie and options.embedding not in (None, options.hidden):
            raise UsageError(
                f"embedding: got {options.embedding}, but --tie wants it as wide as --hidden ({options.hidden})"
            )
        self.embedding = start_embedding(nn.Embedding(vocabulary_size, width))
        self.dropout = dropout(options)
        self.stack = build_body(options, width, causal=True)
        self.output = None if tie else nn.Linear(self.stack.output_size, vocabulary_size)
        self.output_bias = nn.Parameter(self.embedding.weight.new_zeros(vocabulary_size)) if tie else None

    def forward(self, inputs: Tensor, carry: Carry) -> tuple[Tensor, Carry]:
        if self.training and self.restart and carry:
            carry = self.stack.forget(carry, torch.rand(inputs.shape[1]) >= self.restart)
        states, carry = self.stack(self.dropout(self.embedding(inputs)), carry)
        if self.output is not None:
            return self.output(states), carry
        return functional.linear(states, self.embedding.weight, self.output_bias), carry
