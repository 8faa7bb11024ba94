"""The recurrent body: a stack of layers that ``options`` describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from seriatim.models.body import Body
from seriatim.models.contract import Carry
from seriatim.models.options import OWN, ModelOptions, layer_width
from seriatim.nn.blocks import Blocks
from seriatim.nn.custom_layer import Recurrent
from seriatim.nn.dropout import LockedDropout
from seriatim.nn.initialisation import RECURRENT, chrono_, forget_bias_
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.registry import LAYERS, RegisteredCell
from seriatim.nn.sequence import SequenceLayer
from seriatim.nn.stacking import Stacked
from seriatim.spec import REGISTERED

ARGUMENTS: Mapping[str, str] = {
    "activation": "nonlinearity", "peephole": "peephole", "coupled": "coupled", "layer_norm": "layer_norm",
    "zoneout": "zoneout", "recurrent_dropout": "recurrent_dropout", "weight_drop": "weight_drop",
}  # fmt: skip
"""The options of ``OWN``, and the layers' arguments of the same meaning. ``_arguments`` adds the less simple ones."""


@final
class Stack(Body):
    """The recurrent layers that ``options`` name, with dropout between them and on the output.

    Time-major: ``[T, B, input_size]`` → ``[T, B, output_size]``. The state is a flat tuple (``h``; ``h, c``; …).
    """

    def __init__(self, options: ModelOptions, input_size: int) -> None:
        super().__init__()
        self.layers = _layers(options, input_size)
        self.dropout = dropout(options)
        self.directions = 2 if options.bidirectional else 1
        self.output_size = self.layers.output_size
        self.state_sizes = dict(self.layers.state_sizes)
        """The width of each part of the state, [layers · directions, B, width]."""
        for layer in self.layers.modules():
            if isinstance(layer, RecurrentLayer):
                _start(layer, options)

    def forward(
        self, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None, *, reset: Tensor | None = None
    ) -> tuple[Tensor, Carry]:
        """Run over ``inputs`` from the state ``carry`` (empty: zeros); return the outputs and the final state.

        ``reset`` [T, B] marks the steps at which a row starts again from zeros.
        """
        if reset is not None:  # most resets are at the first step, where a changed carry is enough
            carry = self.reset_rows(carry, ~reset[0])
            reset = None if len(reset) == 1 or not reset[1:].any() else reset
        state = carry[0] if len(carry) == 1 else carry or None
        outputs, parts, _ = self.layers.run(inputs, state, lengths, reset, False, None)
        return self.dropout(outputs), tuple(part.to(inputs.dtype) for part in parts)  # a carry is never bfloat16

    def reset_rows(self, carry: Carry, keep: Tensor) -> Carry:
        return tuple(part * keep.unsqueeze(-1) for part in carry)


def _layers(options: ModelOptions, input_size: int) -> SequenceLayer:
    """Return one module with all layers, or single layers with residual connections."""
    if options.residual == "block":
        width = layer_width(options) * (2 if options.bidirectional else 1)
        layers = [_layer(options, width, 1, 0.0, 0.0) for _ in range(options.layers)]
        return Blocks(
            layers, input_size, dropout=options.dropout, locked_dropout=options.locked_dropout,
            convolution=options.convolution,
        )  # fmt: skip
    if options.residual == "none" or options.layers == 1:
        between = options.dropout if options.layers > 1 else 0.0
        return _layer(options, input_size, options.layers, between, options.locked_dropout)
    layers = [_layer(options, input_size, 1, 0.0, 0.0)]
    width = layers[0].output_size
    layers += [_layer(options, width, 1, 0.0, 0.0) for _ in range(options.layers - 1)]
    return Stacked(layers, options.residual, dropout=options.dropout, locked_dropout=options.locked_dropout)


def _layer(options: ModelOptions, input_size: int, layers: int, between: float, locked_dropout: float) -> SequenceLayer:
    """Make ``layers`` layers of the cell that ``options.model`` names, from our registry or the user's."""
    shape = (input_size, options.hidden, layers)
    registered = REGISTERED.get(options.model)
    if isinstance(registered, RegisteredCell):
        return Recurrent(
            registered.maker, *shape, dropout=between, bidirectional=options.bidirectional,
            locked_dropout=locked_dropout, compile=registered.compile,
        )  # fmt: skip
    layer: SequenceLayer = LAYERS[options.model](
        *shape, dropout=between, bidirectional=options.bidirectional, locked_dropout=locked_dropout,
        **_arguments(options),
    )  # fmt: skip
    return layer


def _arguments(options: ModelOptions) -> dict[str, Any]:
    """Return the arguments that only some layers have."""
    arguments = {argument: getattr(options, name) for name, argument in ARGUMENTS.items() if options.model in OWN[name]}
    if options.model in OWN["projection"]:
        arguments["proj_size"] = options.projection or 0
    if options.model in OWN["reset_gate"]:
        arguments["reset_after"] = options.reset_gate == "after"
    return arguments


def _start(layer: RecurrentLayer, options: ModelOptions) -> None:
    """Initialise the weights as ``options`` say."""
    if options.model in OWN["recurrent_init"]:
        RECURRENT[options.recurrent_init](layer)
    if options.model in OWN["forget_bias"]:
        forget_bias_(layer, options.forget_bias)
    if options.chrono:
        chrono_(layer, options.chrono)


def dropout(options: ModelOptions) -> nn.Module:
    """Make the dropout of ``options``: with a new mask at each step, with one mask per sequence, with both or none."""
    if not options.dropout and not options.locked_dropout:
        return nn.Identity()
    return nn.Sequential(nn.Dropout(options.dropout), LockedDropout(options.locked_dropout))


def embedding_width(options: ModelOptions) -> int:
    """Return the width of the embeddings: the option, or else the width of the layers, at most 128."""
    return options.embedding or min(options.hidden, 128)


NARROW = 0.1
"""Embeddings start uniformly in ± this, unless a model needs larger ones."""


def start_embedding(embedding: nn.Embedding, width: float = NARROW) -> nn.Embedding:
    """Initialise the embeddings uniformly in ± ``width``."""
    with torch.no_grad():
        embedding.weight.uniform_(-width, width)
    return embedding
