"""A recurrent decoder: a language model that starts from a context and may attend to a memory (Sutskever 2014).

    embedding → recurrent layers → (attention) → affine → softmax

The last id, ``boundary``, comes before the first unit of a sequence and after its last. It follows the ids of the
vocabulary, so a vocabulary of V units makes a decoder of V + 1.

The state of the recurrent layers does not depend on attention (there is no input feeding), so a whole target runs
through each layer in one call. Attention reads the output of the layers afterwards: h̃_t = tanh(W_c [c_t; h_t])
(Luong 2015), for every kind of score.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.contract import Carry
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import Stack, dropout, embedding_width, start_embedding
from seriatim.nn.affine import Affine, linear
from seriatim.nn.attention import Attention, make_attention
from seriatim.nn.loss import linear_cross_entropy
from seriatim.nn.stacking import connect

NO_TARGET = -1
"""The padding of targets."""
ZERO_STATES = {"slstm": ("c", "n", "m"), "lru": ("h",)}
"""States that start at 0 and not from the context: in an sLSTM, n counts what c averages; an LRU never reads its h."""


@dataclass(frozen=True)
class Memory:
    """The input of a decoder for each of B source texts or pictures."""

    context: Tensor
    """[B, C]: the decoder starts from it."""
    states: Tensor | None = None
    """[S, B, M]: the states that attention looks at."""
    lengths: Tensor | None = None
    """[B] int64: attention does not look at states beyond a row's length (None: it looks at all)."""

    def take(self, rows: Tensor) -> Memory:
        """Return the memory of ``rows`` [N] int64, which may repeat."""
        return Memory(
            self.context[rows],
            None if self.states is None else self.states[:, rows],
            None if self.lengths is None else self.lengths[rows],
        )


@dataclass(frozen=True)
class DecoderState:
    """The state of a recurrent decoder in each of B = N · K sequences: K after another for each of N inputs."""

    memory: Memory
    """The N inputs."""
    keys: Tensor | None
    """[S, N, A]: the memory as attention uses it."""
    layers: tuple[Carry, ...]
    """The state of each layer, h or h and c: [1, N · K, H]."""

    @property
    def group(self) -> int:
        """K, the number of sequences for each input."""
        return self.layers[0][0].shape[1] // max(1, len(self.memory.context))

    def take(self, rows: Tensor) -> DecoderState:
        """Return the state of ``rows`` [B'] int64, which may repeat. Equal inputs side by side are stored once."""
        layers = tuple(tuple(part[:, rows] for part in carry) for carry in self.layers)
        inputs, counts = torch.unique_consecutive(rows // self.group, return_counts=True)
        group = math.gcd(*counts.tolist())
        if group and int(counts.max()) > group:
            inputs = inputs.repeat_interleave(counts // group)
        if torch.equal(inputs, torch.arange(len(self.memory.context))):
            return DecoderState(self.memory, self.keys, layers)
        return DecoderState(self.memory.take(inputs), None if self.keys is None else self.keys[:, inputs], layers)


@final
class RecurrentDecoder(nn.Module):
    """A network from earlier units to log-probabilities of the next one.

    ``options.layers`` layers of ``options.model`` start from the context. A single layer of the same width takes it as
    h_0, with c_0 = 0. Otherwise every layer's h_0 is tanh of an affine map of it (Cho 2014), and c_0 is an affine map.

    ``peeky``: the context is also an input of every recurrent layer and of the output, at every step.
    ``attention``: a score of ``nn.attention`` over a memory of width ``memory_size``, or ``none``.
    ``tie``: the embedding is also the weight of the output (Press & Wolf 2017), after a linear map if widths differ.
    ``embedding_start``: the embeddings start uniformly in ± this.
    """

    def __init__(
        self,
        options: ModelOptions,
        vocabulary_size: int,
        context_size: int,
        *,
        peeky: bool = False,
        attention: str = "none",
        memory_size: int = 0,
        tie: bool = False,
        embedding_start: float = 0.1,
    ) -> None:
        super().__init__()
        self.peeky = peeky
        self.boundary = vocabulary_size
        width = embedding_width(options)
        peek_size = context_size if peeky else 0
        self.embedding = start_embedding(nn.Embedding(vocabulary_size + 1, width), embedding_start)
        self.dropout = dropout(options)
        layer_options = dataclasses.replace(options, layers=1, bidirectional=False)
        stacks = [Stack(layer_options, width + peek_size)]
        hidden = stacks[0].output_size
        stacks += [Stack(layer_options, hidden + peek_size) for _ in range(options.layers - 1)]
        self.layers = nn.ModuleList(stacks)
        self.connections = nn.ModuleList(
            connect(options.residual, hidden) for _ in stacks[1:] if options.residual not in ("none", "block")
        )
        self.bridge = _Bridge(context_size, stacks[0].state_sizes, options.layers, ZERO_STATES.get(options.model, ()))
        self.attention: Attention | None = None
        if attention != "none":
            self.attention = make_attention(attention, hidden, memory_size)
            self.combine = Affine(memory_size + hidden, hidden, bias=False)
        readout = hidden + peek_size
        self.project = Affine(readout, width, bias=False) if tie and readout != width else nn.Identity()
        self.output = None if tie else nn.Linear(readout, vocabulary_size + 1)
        self.output_bias = nn.Parameter(self.embedding.weight.new_zeros(vocabulary_size + 1)) if tie else None

    def start(self, memory: Memory) -> DecoderState:
        """Return the state before the first unit."""
        keys = None
        if self.attention is not None:
            assert memory.states is not None
            keys = self.attention.keys(memory.states)
        return DecoderState(memory, keys, self.bridge(memory.context))

    def forward(self, inputs: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Read units [T, B] from ``state`` in one call.

        Returns the input of the output layer [T, B, R], the state after them, and the attention weights [T, B, S].
        """
        memory, group = state.memory, state.group
        peek = memory.context.repeat_interleave(group, 0).expand(len(inputs), -1, -1) if self.peeky else None
        states = self.dropout(self.embedding(inputs))
        carries = []
        for number, (layer, carry) in enumerate(zip(self.layers, state.layers, strict=True)):
            outputs, carry = layer(_with_context(states, peek), carry)
            states = self.connections[number - 1](states, outputs) if number and self.connections else outputs
            carries.append(carry)
        alignment = None
        if self.attention is not None:
            queries = _by_input(states, group)
            attended, alignment = self.attention(queries, memory.states, state.keys, memory.lengths)
            attended, alignment = (_by_sequence(part, group) for part in (attended, alignment))
            states = self.dropout(torch.tanh(self.combine(torch.cat([attended, states], -1))))
        readout = self.project(_with_context(states, peek))
        return readout, DecoderState(memory, state.keys, tuple(carries)), alignment

    def loss(self, targets: Tensor, memory: Memory, teacher_forcing: float = 1.0) -> Tensor:
        """Return the mean negative log-likelihood per unit of ``targets`` [T, B] in nats.

        Each target ends with ``boundary``, and ``NO_TARGET`` follows. In training with ``teacher_forcing`` below 1,
        each input is the true unit with that probability, else the model's own likeliest unit (scheduled sampling,
        Bengio 2015). Only this case runs step by step.
        """
        start = torch.full_like(targets[:1], self.boundary)
        inputs = torch.cat([start, targets[:-1].clamp(min=0)])
        state = self.start(memory)
        if self.training and teacher_forcing < 1.0:
            readout = self._scheduled_sampling(inputs, state, teacher_forcing)
        else:
            readout, _, _ = self(inputs, state)
        is_target = targets != NO_TARGET
        return linear_cross_entropy(readout[is_target], *self.head(), targets[is_target])

    def logits(self, readout: Tensor) -> Tensor:
        """Map readouts […, R] to logits […, V + 1]."""
        weight, bias = self.head()
        return linear(readout, weight, bias)

    def head(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight [V + 1, R] and the bias [V + 1] of the output layer."""
        if self.output is not None:
            return self.output.weight, self.output.bias
        return self.embedding.weight, self.output_bias

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Read one unit [B] per row; return log-probabilities [B, V + 1], the state, and attention weights [B, S]."""
        readout, state, alignment = self(tokens[None], state)
        chances = functional.log_softmax(self.logits(readout[0]).float(), -1)
        return chances, state, None if alignment is None else alignment[0]

    def _scheduled_sampling(self, inputs: Tensor, state: DecoderState, teacher_forcing: float) -> Tensor:
        """Return the readout if some inputs are the decoder's own predictions (Bengio 2015)."""
        readouts: list[Tensor] = []
        tokens = inputs[0]
        for true in inputs[1:]:
            readout, state, _ = self(tokens[None], state)
            readouts.append(readout)
            with torch.no_grad():
                own = self.logits(readout[0]).argmax(-1)
            tokens = torch.where(torch.rand(own.shape) < teacher_forcing, true, own)
        readout, _, _ = self(tokens[None], state)
        return torch.cat([*readouts, readout])


@final
class _Bridge(nn.Module):
    """A map from the context to the first state of every layer. ``sizes`` are the widths of the states by name.

    The states in ``zero`` stay at 0.
    """

    def __init__(self, context_size: int, sizes: Mapping[str, int], layers: int, zero: Sequence[str]) -> None:
        super().__init__()
        self.layers, self.sizes = layers, dict(sizes)
        self.started = {name: size for name, size in sizes.items() if name not in zero}
        takes_context = layers == 1 and self.started.get("h") == context_size
        self.affine = None if takes_context else nn.Linear(context_size, layers * sum(self.started.values()))

    def forward(self, context: Tensor) -> tuple[Carry, ...]:
        if self.affine is None:
            return (self._carry({"h": context}, context),)
        parts = self.affine(context).to(context.dtype).unflatten(-1, (self.layers, -1))
        names, sizes = list(self.started), list(self.started.values())
        carries = []
        for layer in range(self.layers):
            starts = dict(zip(names, parts[:, layer].split(sizes, -1), strict=True))
            if "h" in starts:  # h is within ±1
                starts["h"] = torch.tanh(starts["h"])
            carries.append(self._carry(starts, context))
        return tuple(carries)

    def _carry(self, starts: Mapping[str, Tensor], context: Tensor) -> Carry:
        """Return every state [1, B, ·] from ``starts`` [B, ·]; a state that is not among them is 0."""
        rows = len(context)
        return tuple(
            starts[name][None].contiguous() if name in starts else context.new_zeros(1, rows, size)
            for name, size in self.sizes.items()
        )


def _by_input(states: Tensor, group: int) -> Tensor:
    """[T, N · K, H] → [T · K, N, H], so that the sequences of an input are queries of the same memory."""
    if group == 1:
        return states
    steps, rows, width = states.shape
    return states.view(steps, rows // group, group, width).transpose(1, 2).flatten(0, 1)


def _by_sequence(values: Tensor, group: int) -> Tensor:
    """[T · K, N, ·] → [T, N · K, ·]."""
    if group == 1:
        return values
    queries, inputs, width = values.shape
    return values.view(queries // group, group, inputs, width).transpose(1, 2).flatten(1, 2)


def _with_context(states: Tensor, peek: Tensor | None) -> Tensor:
    return states if peek is None else torch.cat([states, peek.to(states.dtype)], -1)
