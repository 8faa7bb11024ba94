"""The cell spec: one frozen value that defines what a recurrent cell computes.

The twin, the engine, the operators, the layers and the converters read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from seriatim.errors import UsageError, nearest
from seriatim.notation import DIAGONAL, GATES, PEEPHOLES, PROJECTED, STATES

NORMALISED: Final = ("rnn", "lstm", "cifg", "gru")
"""Kinds that may have layer normalisation, and a bound on their gates."""

COUPLED: Final[Mapping[str, str]] = {"lstm": "cifg"}
"""The kind of the same cell with coupled input and forget gates."""

REGISTERED: Final[dict[str, object]] = {}
"""Cells of users by name (``seriatim.nn.register``). They are here so that options need no PyTorch."""


VARIANTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "rnn tanh": {"kind": "rnn"},
    "rnn relu": {"kind": "rnn", "activation": "relu"},
    "rnn sigmoid": {"kind": "rnn", "activation": "sigmoid"},
    "rnn projection": {"kind": "rnn", "proj_size": 2},
    "rnn layer-norm": {"kind": "rnn", "layer_norm": True},
    "lstm": {"kind": "lstm"},
    "lstm projection": {"kind": "lstm", "proj_size": 2},
    "lstm peephole": {"kind": "lstm", "peephole": True},
    "lstm layer-norm": {"kind": "lstm", "layer_norm": True},
    "lstm coupled": {"kind": "cifg"},
    "lstm coupled projection": {"kind": "cifg", "proj_size": 2},
    "lstm coupled peephole": {"kind": "cifg", "peephole": True},
    "lstm coupled layer-norm": {"kind": "cifg", "layer_norm": True},
    "gru": {"kind": "gru"},
    "gru projection": {"kind": "gru", "proj_size": 2},
    "gru reset-before": {"kind": "gru", "reset_after": False},
    "gru layer-norm": {"kind": "gru", "layer_norm": True},
    "mingru": {"kind": "mingru"},
    "minlstm": {"kind": "minlstm"},
    "rnn clip": {"kind": "rnn", "clip": 0.5},
    "lstm clip": {"kind": "lstm", "clip": 0.5},
    "lstm coupled clip": {"kind": "cifg", "clip": 0.5},
    "gru clip": {"kind": "gru", "clip": 0.5},
    "slstm": {"kind": "slstm"},
    "slstm projection": {"kind": "slstm", "proj_size": 2},
    "lru": {"kind": "lru"},
}
"""All cells as arguments of a ``CellSpec``. Projections have 2 units here."""


@dataclass(frozen=True)
class CellSpec:
    """A cell's kind, sizes and variants.

    Raises ``UsageError`` for a kind or an activation that does not exist.
    """

    kind: str
    """A key of ``notation.GATES``."""
    input_size: int
    """I."""
    hidden_size: int
    """H."""
    activation: str = "tanh"
    """φ of an RNN: ``tanh``, ``relu`` or ``sigmoid``."""
    bias: bool = True
    proj_size: int = 0
    """P, the width of a projected h (Sak 2014; of a GRU Cheng 2018); 0 is no projection."""
    reset_after: bool = True
    """Whether a GRU applies its reset gate after the product (cuDNN, PyTorch) or before it (Cho 2014)."""
    peephole: bool = False
    """Whether an LSTM's gates read c (Gers 2000): i and f the old c, o the new c."""
    layer_norm: bool = False
    """Whether the input part and the recurrent part of the gates are normalised, each over its G·H values, and an
    LSTM's c over its H before its tanh (Ba 2016)."""
    clip: float = 0.0
    """The bound ± ``clip`` of every gate before its activation, as in ONNX's nodes; 0 is no bound."""

    def __post_init__(self) -> None:
        if self.kind not in GATES:
            raise UsageError(f"kind: no cell '{self.kind}'{nearest(self.kind, GATES)}")
        if self.activation not in ("tanh", "relu", "sigmoid"):
            raise UsageError(f"activation: got '{self.activation}', wanted tanh, relu or sigmoid")
        if self.kind != "rnn" and self.activation != "tanh":
            raise UsageError(f"activation: '{self.activation}' is for rnn, not {self.kind}")
        if not self.reset_after and self.kind != "gru":
            raise UsageError(f"reset_after: only gru has a reset gate, {self.kind} has none")
        if not self.reset_after and self.layer_norm:
            raise UsageError("layer_norm: not with reset_after=False, because the recurrent part is then two products")
        if self.peephole and self.kind not in PEEPHOLES:
            raise UsageError(f"peephole: only for lstm, not for {self.kind}")
        if self.proj_size and self.is_diagonal:
            raise UsageError(f"proj_size: not for {self.kind}, whose h enters no product; add a Linear after the layer")
        if self.proj_size and not self.reset_after:
            raise UsageError("proj_size: not with reset_after=False, because r is wider than a projected h")
        if self.layer_norm and self.kind not in NORMALISED:
            raise UsageError(f"layer_norm: only for rnn, lstm and gru, not for {self.kind}")
        if self.clip and self.kind not in NORMALISED:
            raise UsageError(f"clip: only for rnn, lstm and gru, not for {self.kind}")
        if not isinstance(self.clip, (int, float)) or isinstance(self.clip, bool) or not 0 <= self.clip < math.inf:
            raise UsageError(f"clip: got {self.clip!r}, wanted a number of at least 0")
        if self.proj_size and not 0 < self.proj_size < self.hidden_size:
            raise UsageError(f"proj_size: got {self.proj_size}, wanted less than hidden_size {self.hidden_size}")

    @property
    def gates(self) -> tuple[str, ...]:
        """Blocks of the weight rows, in order."""
        return GATES[self.kind]

    @property
    def is_diagonal(self) -> bool:
        """Whether no product reads h, so that a whole sequence is one scan."""
        return self.kind in DIAGONAL

    @property
    def states(self) -> tuple[str, ...]:
        """The states that are carried from step to step, in order."""
        return (PROJECTED if self.proj_size else STATES)[self.kind]

    @property
    def traced(self) -> tuple[str, ...]:
        """The names that ``return_states`` adds to h: the other states, then the gates that are not states."""
        return (*self.states[1:], *(gate for gate in self.gates if gate not in self.states))

    @property
    def output_size(self) -> int:
        """Width of h: P when projected, H otherwise."""
        return self.proj_size or self.hidden_size

    def state_size(self, state: str) -> int:
        """Width of the state called ``state``."""
        return self.output_size if state == "h" else self.hidden_size
