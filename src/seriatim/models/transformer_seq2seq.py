"""The Transformer as encoder and decoder (Vaswani 2017), behind the same face as the recurrent one."""

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
from seriatim.nn.loss import linear_cross_entropy
from seriatim.nn.positions import SinusoidalPositions
from seriatim.nn.transformer import DecoderLayer, KeysValues, causal_mask, padding_mask


@dataclass(frozen=True)
class TransformerState:
    """Where a Transformer's decoder stands in each of B sequences."""

    source: tuple[KeysValues, ...]
    """Of each layer, what it attends over: keys and values [S, B, H]."""
    mask: Tensor
    """[B, 1, S]: which of the source's steps count."""
    past: tuple[KeysValues, ...] = ()
    """Of each layer, keys and values of the P units read so far, [P, B, H]."""

    def take(self, rows: Tensor) -> TransformerState:
        """Return the state of ``rows`` [N] int64, which may repeat."""
        source, past = (
            tuple((keys[:, rows], values[:, rows]) for keys, values in layers) for layers in (self.source, self.past)
        )
        return TransformerState(source, self.mask[rows], past)


@final
class TransformerSeq2Seq(EncoderDecoder[PairBatch]):
    """Embedding → encoder layers; embedding → decoder layers that attend over them → affine → softmax.

    ``options.layers`` of each. Norms stand before each part and behind the last layer. ``tie``: the target's embedding
    is the output's weight as well.
    """

    def __init__(self, options: ModelOptions, source_size: int, target_size: int, *, tie: bool = False) -> None:
        super().__init__()
        self.boundary = target_size
        width, size = embedding_width(options), options.hidden
        self.embeddings = start_embedding(nn.Embedding(source_size, width))
        self.encoder = build_body(options, width)
        self.embedding = start_embedding(nn.Embedding(target_size + 1, width))
        self.dropout = dropout(options)
        self.input = nn.Identity() if width == size else nn.Linear(width, size)
        rotary = options.positions == "rotary"
        self.scale = nn.Identity() if rotary else nn.LayerNorm(size)
        self.positions = None if rotary else SinusoidalPositions()
        self.layers = nn.ModuleList(
            DecoderLayer(size, options.heads, dropout=options.dropout, rotary=rotary) for _ in range(options.layers)
        )
        self.norm = nn.LayerNorm(size)
        self.project = nn.Linear(size, width, bias=False) if tie and width != size else nn.Identity()
        self.output = None if tie else nn.Linear(size, target_size + 1)
        self.output_bias = nn.Parameter(self.embedding.weight.new_zeros(target_size + 1)) if tie else None

    def loss(self, batch: PairBatch, carry: Carry) -> tuple[Tensor, Carry]:
        """Return the mean cross entropy per unit of the targets, their ends among them, in nats."""
        targets = batch.targets
        start = torch.full_like(targets[:1], self.boundary)
        inputs = torch.cat([start, targets[:-1].clamp(min=0)])
        readout, _ = self(inputs, self.begin(batch.sources))
        known = targets != NO_TARGET
        return linear_cross_entropy(readout[known], *self._output(), targets[known]), ()

    def forward(self, inputs: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState]:
        """Read units [T, B] in one go; return what the output layer reads [T, B, ·] and the state after them."""
        x = self.scale(self.input(self.dropout(self.embedding(inputs))))
        before = len(state.past[0][0]) if state.past else 0
        x = x if self.positions is None else self.positions(x, before)
        mask = causal_mask(len(x), before + len(x)).to(x.device) if len(x) > 1 else None
        kept = []
        for place, (layer, source) in enumerate(zip(self.layers, state.source, strict=True)):
            past = state.past[place] if state.past else None
            x, keys_values = layer(x, source, past=past, mask=mask, source_mask=state.mask)
            kept.append(keys_values)
        return self.project(self.dropout(self.norm(x))), TransformerState(state.source, state.mask, tuple(kept))

    def begin(self, sources: Sources) -> TransformerState:
        states, _ = self.encoder(self.dropout(self.embeddings(sources.inputs)), (), sources.lengths)
        return TransformerState(
            tuple(cast(DecoderLayer, layer).read(states) for layer in self.layers),
            padding_mask(sources.lengths, len(states)),
        )

    def step(self, tokens: Tensor, state: TransformerState) -> tuple[Tensor, TransformerState, Tensor | None]:
        """As ``EncoderDecoder.step``; many heads in many layers look, so there is no one alignment."""
        readout, state = self(tokens[None], state)
        return functional.log_softmax(functional.linear(readout[0], *self._output()).float(), -1), state, None

    def _output(self) -> tuple[Tensor, Tensor | None]:
        """The output layer's weight and bias."""
        if self.output is None:
            return self.embedding.weight, self.output_bias
        return self.output.weight, self.output.bias
