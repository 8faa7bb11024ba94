"""The Transformer as encoder and decoder (Vaswani 2017), with the interface of the recurrent one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from seriatim.models.bodies import build_body
from seriatim.models.contract import Carry
from seriatim.models.decoder import NO_TARGET
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import dropout, embedding_width, start_embedding
from seriatim.models.seq2seq import EncoderDecoder, PairBatch, Sources
from seriatim.nn.affine import Affine
from seriatim.nn.loss import linear_cross_entropy
from seriatim.nn.positions import SinusoidalPositions
from seriatim.nn.transformer import DecoderLayer, KeysValues, causal_mask, padding_mask


@dataclass(frozen=True)
class TransformerState:
    """The state of a Transformer's decoder in each of B sequences."""

    source: tuple[KeysValues, ...]
    """The keys and values [S, B, H] of the source, for each layer."""
    mask: Tensor
    """[B, 1, S]: the valid steps of the source."""
    past: tuple[KeysValues, ...] = ()
    """The keys and values [P, B, H] of the P units so far, for each layer."""

    def take(self, rows: Tensor) -> TransformerState:
        """Return the state of ``rows`` [N] int64, which may repeat."""
        source, past = (
            tuple((keys[:, rows], values[:, rows]) for keys, values in layers) for layers in (self.source, self.past)
        )
        return TransformerState(source, self.mask[rows], past)


@final
class TransformerSeq2Seq(EncoderDecoder[PairBatch]):
    """Embedding → encoder layers; embedding → decoder layers that attend to them → affine → softmax.

    Both have ``options.layers`` layers. Norms are before each part and after the last layer. ``tie``: the embedding of
    the target is also the weight of the output.
    """

    def __init__(self, options: ModelOptions, source_size: int, target_size: int, *, tie: bool = False) -> None:
        super().__init__()
        self.boundary = target_size
        width, size = embedding_width(options), options.hidden
        self.embeddings = start_embedding(nn.Embedding(source_size, width))
        self.encoder = build_body(options, width)
        self.embedding = start_embedding(nn.Embedding(target_size + 1, width))
        self.dropout = dropout(options)
        self.input = nn.Identity() if width == size else Affine(width, size)
        rotary = options.positions == "rotary"
        self.scale = nn.Identity() if rotary else nn.LayerNorm(size)
        self.positions = None if rotary else SinusoidalPositions()
        self.layers = nn.ModuleList(
            DecoderLayer(size, options.heads, dropout=options.dropout, rotary=rotary) for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(size)
        self.project = Affine(size, width, bias=False) if tie and width != size else nn.Identity()
        self.output = None if tie else nn.Linear(size, target_size + 1)
        self.output_bias = nn.Parameter(self.embedding.weight.new_zeros(target_size + 1)) if tie else None

    def loss(self, batch: PairBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per unit of the targets, including their ends, in nats."""
        targets = batch.targets
        start = torch.full_like(targets[:1], self.boundary)
        inputs = torch.cat([start, targets[:-1].clamp(min=0)])
        readout, _ = self(inputs, self.begin(batch.sources))
        is_target = targets != NO_TARGET
        return linear_cross_entropy(readout[is_target], *self._output(), targets[is_target]), ()

    def forward(self, inputs: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """Read units [T, B] in one call; return the input of the output layer [T, B, ·] and the state after them."""
        x = self.scale(self.input(self.dropout(self.embedding(inputs))))
        past_steps = len(state.past[0][0]) if state.past else 0
        x = x if self.positions is None else self.positions(x, past_steps)
        mask = causal_mask(len(x), past_steps + len(x)).to(x.device) if len(x) > 1 else None
        next_past = []
        for index, (layer, source) in enumerate(zip(self.layers, state.source, strict=True)):
            past = state.past[index] if state.past else None
            x, keys_values = layer(x, source, past=past, mask=mask, source_mask=state.mask)
            next_past.append(keys_values)
        return self.project(self.dropout(self.norm(x))), TransformerState(state.source, state.mask, tuple(next_past))

    def begin(self, sources: Sources) -> TransformerState:
        states, _ = self.encoder(self.dropout(self.embeddings(sources.inputs)), (), sources.lengths)
        return TransformerState(
            tuple(cast(DecoderLayer, layer).read(states) for layer in self.layers),
            padding_mask(sources.lengths, len(states)),
        )

    def begin_batch(self, batch: PairBatch) -> TransformerState:
        return self.begin(batch.sources)

    def step(self, tokens: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState, Tensor | None]:
        """Read one unit per row. There are no attention weights to return, as there are many heads in many layers."""
        readout, state = self(tokens[None], state)
        return functional.log_softmax(functional.linear(readout[0], *self._output()).float(), -1), state, None

    def _output(self) -> tuple[Tensor, Tensor | None]:
        """Return the weight and bias of the output layer."""
        if self.output is None:
            return self.embedding.weight, self.output_bias
        return self.output.weight, self.output.bias
