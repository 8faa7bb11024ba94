"""What can be asked of a model."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.errors import UsageError
from seriatim.options import option

CELLS = ("rnn", "lstm", "gru")
ACTIVATIONS = ("tanh", "relu", "sigmoid")
INITIALISATIONS = ("orthogonal", "uniform")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Options of the network, the same for every task. Each task narrows ``model`` to the names it knows."""

    model: str = option("lstm", "cell of the network, or a baseline")
    hidden: int = option(128, "hidden units per layer", minimum=1)
    layers: int = option(1, "stacked recurrent layers", minimum=1)
    bidirectional: bool = option(False, "read each sequence in both directions")
    dropout: float = option(0.0, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    locked_dropout: float = option(
        0.0, "the same with one mask per sequence (Gal & Ghahramani 2016)", minimum=0.0, below=1.0
    )
    activation: str = option("tanh", "rnn only: activation function", choices=ACTIVATIONS)
    recurrent_init: str = option("orthogonal", "start of the recurrent weights", choices=INITIALISATIONS)
    forget_bias: float = option(1.0, "lstm only: start of the forget gate's bias")
    embedding: int | None = option(None, "width of the embeddings (default: hidden, at most 128)", minimum=1)


def check_cell(options: ModelOptions) -> None:
    """Refuse options of a cell other than the one that ``options`` name. Raises ``UsageError``."""
    if options.activation != "tanh" and options.model != "rnn":
        raise UsageError(f"activation: for rnn, not {options.model}; its activations are part of what it is")
    if options.forget_bias != 1.0 and options.model != "lstm":
        raise UsageError(f"forget_bias: for lstm, not {options.model}")
