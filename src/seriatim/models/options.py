"""The options of a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from seriatim.errors import UsageError
from seriatim.options import option
from seriatim.spec import REGISTERED

CELLS = ("rnn", "lstm", "gru", "mingru", "minlstm", "slstm", "lru")
"""The recurrent networks of this package; a user's own are in ``spec.REGISTERED``."""
STREAMING = (*CELLS, "transformer", "cnn")
"""Networks with a carry, so that they can read a stream."""
NETWORKS = (*STREAMING, "mlp")
SEQUENCE_NETWORKS = (*NETWORKS, "lstm_fcn")
"""Networks of ``classify`` and ``regress``, which read whole sequences."""
CELL_OF: Mapping[str, str] = {"lstm_fcn": "lstm"}
"""The cell in a network that has other layers beside it. Such a network has the options of its cell."""
ACTIVATIONS = ("tanh", "relu", "sigmoid")
INITIALISATIONS = ("orthogonal", "identity", "normal", "uniform")
RESIDUALS = ("none", "residual", "highway", "block")
MIXING = ("rnn", "lstm", "gru", "slstm")
"""Cells that multiply h by a weight."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Options of the network, the same for every task. Each task narrows ``model`` to the names it knows."""

    model: str = option("lstm", "network, or a baseline")
    hidden: int = option(128, "hidden units per layer", minimum=1)
    layers: int = option(
        1,
        "stacked layers (default: 1; transformer, mingru, minlstm, lru and a language model's rnn 2; cnn 4)",
        minimum=1,
    )
    bidirectional: bool = option(False, "recurrent networks: read each sequence in both directions")
    dropout: float = option(0.0, "dropout on embeddings, between layers and before the head", minimum=0.0, below=1.0)
    locked_dropout: float = option(
        0.0, "the same with one mask per sequence (Gal & Ghahramani 2016)", minimum=0.0, below=1.0
    )
    activation: str = option("tanh", "rnn only: activation function", choices=ACTIVATIONS)
    reset_gate: str = option(
        "after", "gru only: the reset gate acts before or after the product with h", choices=("after", "before")
    )
    peephole: bool = option(False, "lstm only: the gates see c (Gers 2000)")
    coupled: bool = option(False, "lstm only: the input gate is 1 - the forget gate (Greff 2017)")
    projection: int | None = option(None, "rnn, lstm, gru, slstm: project h to so many units (Sak 2014)", minimum=1)
    layer_norm: bool = option(
        False, "rnn, lstm, gru: normalise the gates and c (Ba 2016; default of language)", negatable=True
    )
    zoneout: float = option(
        0.0, "share of the units that keep their old value at a step (Krueger 2016)", minimum=0.0, below=1.0
    )
    recurrent_dropout: float = option(
        0.0, "dropout of h where it enters a product, one mask per sequence (Gal 2016)", minimum=0.0, below=1.0
    )
    weight_drop: float = option(
        0.0, "dropout of the weights between h and h, one mask per update (Merity 2018)", minimum=0.0, below=1.0
    )
    residual: str = option(
        "none",
        "connection past each layer but the first: x + F(x) (He 2016), or gated (Srivastava 2015); block: past each "
        "layer, with layer norm and a feed-forward part (Feng 2024; default of mingru, minlstm and lru)",
        choices=RESIDUALS,
    )
    convolution: int = option(
        1,
        "--residual block: steps of a convolution before each cell (Feng 2024); 1 is none; 4 for "
        "language models with mingru or minlstm",
        minimum=1,
    )
    recurrent_init: str = option(
        "orthogonal", "rnn, lstm, gru, slstm: start of the recurrent weights", choices=INITIALISATIONS
    )
    forget_bias: float = option(1.0, "lstm, minlstm, slstm: start of the forget gate's bias")
    chrono: int | None = option(
        None,
        "lstm, gru, mingru, minlstm: start the gates so that units remember up to so many steps (Tallec 2018)",
        minimum=3,
    )
    heads: int = option(4, "transformer only: attention heads per layer", minimum=1)
    span: int = option(
        128,
        "transformer only: steps of a stream that each step looks at, itself among them (default: 128; language 32)",
        minimum=1,
    )
    positions: str = option(
        "rotary",
        "transformer only: by distance (Su 2021), or added to whole sequences (Vaswani 2017)",
        choices=("rotary", "sinusoidal"),
    )
    kernel: int = option(3, "cnn only: steps that a filter spans before dilation", minimum=2)
    embedding: int | None = option(None, "width of the embeddings (default: hidden, at most 128)", minimum=1)


OWN: Mapping[str, tuple[str, ...]] = {
    "activation": ("rnn",),
    "reset_gate": ("gru",),
    "peephole": ("lstm",),
    "coupled": ("lstm",),
    "projection": MIXING,
    "layer_norm": ("rnn", "lstm", "gru"),
    "zoneout": ("rnn", "lstm", "gru", "mingru", "minlstm"),
    "recurrent_dropout": MIXING,
    "weight_drop": MIXING,
    "residual": CELLS,
    "convolution": CELLS,
    "recurrent_init": MIXING,
    "forget_bias": ("lstm", "minlstm", "slstm"),
    "chrono": ("lstm", "gru", "mingru", "minlstm"),
    "bidirectional": CELLS,
    "heads": ("transformer",),
    "span": ("transformer",),
    "positions": ("transformer",),
    "kernel": ("cnn",),
}
"""Options that only some models have. A user's cells have those that all of our cells have."""

LINEAR = ("mingru", "minlstm", "lru")
"""Cells with a linear recurrence."""
FORWARD_MODE = ("rtrl", "snap1", "uoro")
"""Learners that carry the influence of the weights on the state; they want one layer whose units are independent."""
DEFAULTS: Mapping[str, Mapping[str, object]] = {
    "transformer": {"layers": 2, "warmup": 200},
    "cnn": {"layers": 4},
    **{name: {"residual": "block", "layers": 2} for name in LINEAR},
}
"""Defaults of a model that replace the tasks' defaults, because the model does better with them."""


def defaults_of(model: object, learner: object = None) -> Mapping[str, object]:
    """Return the defaults of ``model`` that replace the task's, if it is trained by ``learner``."""
    if model in LINEAR and learner in FORWARD_MODE:
        return {}
    return DEFAULTS.get(model, {}) if isinstance(model, str) else {}


def layer_width(options: ModelOptions) -> int:
    """Return the width of a layer's output, in one direction."""
    return options.projection or options.hidden


def is_recurrent(model: str) -> bool:
    """Whether ``model`` names a recurrent network, ours or a user's."""
    return model in CELLS or model in REGISTERED


def is_streaming(model: str) -> bool:
    """Whether ``model`` names a network that can read a stream."""
    return model in STREAMING or model in REGISTERED


def check_cell(options: ModelOptions) -> None:
    """Check that ``options.model`` has the options and that the sizes fit. Raises ``UsageError``."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    cell = CELL_OF.get(options.model, options.model)
    for name, models in OWN.items():
        has_option = cell in models or (models is CELLS and options.model in REGISTERED)
        if not has_option and getattr(options, name) != defaults[name]:
            raise UsageError(f"{name}: for {', '.join(models)}, not {options.model}")
    if options.projection and options.projection >= options.hidden:
        raise UsageError(f"projection: got {options.projection}, wanted less than the {options.hidden} hidden units")
    if options.projection and options.reset_gate == "before":
        raise UsageError("projection: not with --reset-gate before, because r is wider than a projected h")
    if options.layer_norm and options.reset_gate == "before":
        raise UsageError("layer_norm: not with --reset-gate before, because the recurrent part is then two products")
    if options.convolution > 1 and options.residual != "block":
        raise UsageError("convolution: only with --residual block")
    if options.recurrent_init == "identity" and options.projection:
        raise UsageError("recurrent_init: identity wants an h as wide as the layer, not --projection")
    if options.chrono and options.forget_bias != defaults["forget_bias"]:
        raise UsageError("forget_bias: not with --chrono, which sets the same biases")
    if options.model == "transformer" and options.hidden % (2 * options.heads):
        raise UsageError(
            f"heads: got {options.heads} for {options.hidden} hidden units, wanted a number that divides them into an "
            "even number each"
        )


def check_causal(options: ModelOptions) -> None:
    """Check that the options suit a task that must not see the future. Raises ``UsageError`` otherwise."""
    if options.positions == "sinusoidal":
        raise UsageError("positions: sinusoidal counts from the start of a whole sequence; a stream takes rotary")
