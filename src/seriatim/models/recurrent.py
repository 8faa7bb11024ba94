"""The recurrent stack that every neural model is built on."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from seriatim.models.body import Body
from seriatim.models.contract import Carry
from seriatim.models.options import ModelOptions
from seriatim.nn import GRU, LSTM, RNN
from seriatim.nn.dropout import LockedDropout
from seriatim.nn.initialisation import chrono_, forget_bias_, orthogonal_recurrent_


@final
class Stack(Body):
    """The recurrent layers that ``options`` name, with dropout between them and on the output.

    Time-major: ``[T, B, input_size]`` → ``[T, B, output_size]``. The state is a flat tuple (``h`` or ``h, c``).
    """

    def __init__(self, options: ModelOptions, input_size: int) -> None:
        super().__init__()
        between = options.dropout if options.layers > 1 else 0.0
        shape = (input_size, options.hidden, options.layers)
        self.layers: RNN | LSTM | GRU
        if options.model == "rnn":
            self.layers = RNN(
                *shape,
                nonlinearity=options.activation,
                dropout=between,
                bidirectional=options.bidirectional,
                locked_dropout=options.locked_dropout,
            )
        else:
            layer = {"lstm": LSTM, "gru": GRU}[options.model]
            self.layers = layer(
                *shape, dropout=between, bidirectional=options.bidirectional, locked_dropout=options.locked_dropout
            )
        self.dropout = dropout(options)
        self.directions = 2 if options.bidirectional else 1
        self.output_size = options.hidden * self.directions
        if options.recurrent_init == "orthogonal":
            orthogonal_recurrent_(self.layers)
        if options.model == "lstm":
            forget_bias_(self.layers, options.forget_bias)
        if options.chrono:
            chrono_(self.layers, options.chrono)

    def forward(
        self, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None, *, reset: Tensor | None = None
    ) -> tuple[Tensor, Carry]:
        """Run over ``inputs`` from the state ``carry`` (empty: zeros); return the outputs and the final state.

        ``reset`` [T, B] marks the steps at which a row starts anew from zeros.
        """
        if reset is not None:  # at the first step, where it mostly is, the ordinary way will do
            carry = self.forget(carry, ~reset[0])
            reset = None if len(reset) == 1 or not reset[1:].any() else reset
        state = carry if len(carry) == 2 else carry[0] if carry else None
        outputs, final_state = self.layers(inputs, state, lengths=lengths, reset=reset)
        parts = final_state if isinstance(final_state, tuple) else (final_state,)
        return self.dropout(outputs), tuple(part.to(inputs.dtype) for part in parts)  # bf16 computes, it does not keep

    def forget(self, carry: Carry, kept: Tensor) -> Carry:
        return tuple(part * kept.unsqueeze(-1) for part in carry)


def dropout(options: ModelOptions) -> nn.Module:
    """Make the dropout that ``options`` ask for: fresh at each step, with one mask per sequence, both or none."""
    return nn.Sequential(nn.Dropout(options.dropout), LockedDropout(options.locked_dropout))


def embedding_width(options: ModelOptions) -> int:
    """Tell how wide the embeddings are: as asked, else as wide as the layers, at most 128."""
    return options.embedding or min(options.hidden, 128)


def start_embedding(embedding: nn.Embedding, width: float = 0.1) -> nn.Embedding:
    """Start the embeddings uniformly in ± ``width``."""
    with torch.no_grad():
        embedding.weight.uniform_(-width, width)
    return embedding
