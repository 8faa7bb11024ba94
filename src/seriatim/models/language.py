"""The recurrent language model (Mikolov 2010): embedding → recurrent layers → affine → softmax."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.models.adaptive_softmax import AdaptiveSoftmax
from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry, Segment, StreamModel
from seriatim.models.options import ModelOptions, layer_width
from seriatim.models.recurrent import NARROW, Stack, dropout, embedding_width, start_embedding
from seriatim.models.resets import run_with_resets
from seriatim.models.unit_stream import UnitStream
from seriatim.nn.affine import linear
from seriatim.nn.loss import linear_cross_entropy, linear_nll
from seriatim.nn.row_stream import stream_row

NO_TARGET = -1
WIDE_START: Mapping[str, float] = {name: math.sqrt(3.0) for name in ("transformer", "lru")}
"""Models whose embeddings start uniformly in ± this, with a deviation of 1: each layer adds its part to the embedding,
which would be lost beside the first parts if it were small. docs/defaults.md has the experiment."""


@dataclass(frozen=True)
class LanguageBatch(Segment):
    """A segment of B streams: the units that are read, and the unit after each."""

    inputs: Tensor
    """[K, B] int64: the unit before each target."""
    targets: Tensor
    """[K, B] int64; ``NO_TARGET`` beyond the end of a row."""
    reset: Tensor | None = None
    """[K, B] bool: the steps at which a row starts anew, independent of the past."""

    @property
    def units(self) -> int:
        return int((self.targets[self.overlap :] != NO_TARGET).sum())


class NeuralLanguageModel(StreamModel[LanguageBatch]):
    """A network that predicts the next unit at every step."""

    @abstractmethod
    def states(self, inputs: Tensor, carry: Carry, reset: Tensor | None = None) -> tuple[Tensor, Carry]:
        """Map units ``[K, B]`` and a state to the input of the head ``[K, B, H]`` and the state after them.

        ``reset`` [K, B] marks the steps at which a row starts anew.
        """

    @abstractmethod
    def logits(self, states: Tensor) -> Tensor:
        """Map states ``[…, H]`` to logits ``[…, V]``."""

    @abstractmethod
    def mean_nll(self, states: Tensor, targets: Tensor) -> Tensor:
        """Return the mean negative log-likelihood of the targets ``[N]`` after states ``[N, H]``."""

    @abstractmethod
    def nll_of_states(self, states: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood ``[N]`` of each target after states ``[N, H]``, without a gradient."""

    def forward(self, inputs: Tensor, carry: Carry, reset: Tensor | None = None) -> tuple[Tensor, Carry]:
        """Map units ``[K, B]`` and a state to logits ``[K, B, V]`` and the state after them."""
        states, carry = self.states(inputs, carry, reset)
        return self.logits(states), carry

    def stream(self, carry: Carry) -> UnitStream | None:
        """Return single steps of one text after ``carry``; None for a network that has to be called for each unit."""
        return None

    @final
    def nll(self, inputs: Tensor, targets: Tensor, carry: Carry, reset: Tensor | None = None) -> tuple[Tensor, Carry]:
        """Return the negative log-likelihood of each target ``[K, B]`` in nats, and the state, without a gradient."""
        with torch.no_grad():
            states, carry = self.states(inputs, carry, reset)
            return self.nll_of_states(states.flatten(0, 1), targets.flatten()).view(targets.shape), carry

    @final
    def advance(self, batch: LanguageBatch, carry: Carry) -> Carry:
        """Return the state after the batch."""
        return self.states(batch.inputs, carry, batch.reset)[1]

    @final
    def loss(self, batch: LanguageBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per unit in nats, and the state."""
        states, carry = self.states(batch.inputs, carry, batch.reset)
        states, targets = states[batch.overlap :], batch.targets[batch.overlap :]
        return self.mean_nll(states.flatten(0, 1), targets.flatten()), carry


class SoftmaxLanguageModel(NeuralLanguageModel):
    """A single network: an embedding, states, and an affine map to logits."""

    @property
    @abstractmethod
    def embeddings(self) -> nn.Embedding:
        """The embedding of the units that are read."""

    @abstractmethod
    def head(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight ``[V, H]`` and the bias ``[V]`` of the affine map to logits."""

    def logits(self, states: Tensor) -> Tensor:
        return linear(states, *self.head())

    def mean_nll(self, states: Tensor, targets: Tensor) -> Tensor:
        return linear_cross_entropy(states, *self.head(), targets)

    def nll_of_states(self, states: Tensor, targets: Tensor) -> Tensor:
        return linear_nll(states, *self.head(), targets)


@final
class RecurrentLanguageModel(SoftmaxLanguageModel):
    """Embedding → stacked recurrent layers → affine, optionally with the embedding as output weights.

    Tying follows Press & Wolf (2017). ``adaptive`` replaces the softmax by the adaptive one (Grave 2017).
    """

    def __init__(self, options: ModelOptions, vocabulary_size: int, *, tie: bool, adaptive: bool = False) -> None:
        super().__init__()
        width = layer_width(options) if tie else embedding_width(options)
        if tie and options.embedding not in (None, width):
            option = "--projection" if options.projection else "--hidden"
            raise UsageError(f"embedding: got {options.embedding}, but --tie wants it as wide as {option} ({width})")
        self.embedding = nn.Embedding(vocabulary_size, width)
        if tie:  # the output would be overconfident from large weights
            start_embedding(self.embedding)
        else:
            start_embedding(self.embedding, WIDE_START.get(options.model, NARROW))
        self.dropout = dropout(options)
        self.stack = build_body(options, width, causal=True)
        if tie and self.stack.output_size != width:
            raise UsageError(f"tie: {options.model} gives {self.stack.output_size} numbers a step, wanted {width}")
        self.output: nn.Linear | AdaptiveSoftmax | None = None
        if not tie:
            self.output = (AdaptiveSoftmax if adaptive else nn.Linear)(self.stack.output_size, vocabulary_size)
        self.output_bias = nn.Parameter(self.embedding.weight.new_zeros(vocabulary_size)) if tie else None

    @property
    def embeddings(self) -> nn.Embedding:
        return self.embedding

    def states(self, inputs: Tensor, carry: Carry, reset: Tensor | None = None) -> tuple[Tensor, Carry]:
        vectors = self.dropout(self.embedding(inputs))
        if not isinstance(self.stack, Stack):
            return run_with_resets(self.stack, self.stack.reset_rows, vectors, carry, reset)
        states, carry = self.stack(vectors, carry, reset=reset)
        return states, carry

    def stream(self, carry: Carry) -> UnitStream | None:
        layers = stream_row(self.stack.layers, carry) if isinstance(self.stack, Stack) else None
        if layers is None or isinstance(self.output, AdaptiveSoftmax):
            return None
        return UnitStream(self.embedding, layers, *self.head())

    def head(self) -> tuple[Tensor, Tensor | None]:
        assert not isinstance(self.output, AdaptiveSoftmax), "an adaptive softmax is no affine map"
        if self.output is not None:
            return self.output.weight, self.output.bias
        return self.embedding.weight, self.output_bias

    def logits(self, states: Tensor) -> Tensor:
        if isinstance(self.output, AdaptiveSoftmax):
            return self.output.log_probabilities(states.flatten(0, -2)).view(*states.shape[:-1], -1)
        return super().logits(states)

    def mean_nll(self, states: Tensor, targets: Tensor) -> Tensor:
        if isinstance(self.output, AdaptiveSoftmax):
            return self.output.nll(states, targets).sum() / (targets != NO_TARGET).sum()
        return super().mean_nll(states, targets)

    def nll_of_states(self, states: Tensor, targets: Tensor) -> Tensor:
        if isinstance(self.output, AdaptiveSoftmax):
            return self.output.nll(states, targets)
        return super().nll_of_states(states, targets)
