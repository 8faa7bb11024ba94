"""Initialisations of a layer or a cell. Each function changes the named weights of a module in place.

    function                    initialisation             cells                        source
    module.reset_parameters     all from U(-1/√H, 1/√H)    every cell                   PyTorch's default
    orthogonal_recurrent_       weight_hh, by gate         rnn, lstm, gru, slstm        Saxe 2014
    identity_recurrent_         weight_hh = I, biases 0    the same; for a ReLU RNN     Le 2015
    normal_                     N(0, 1/columns), b = 0     rnn, lstm, gru, slstm        LeCun 1998
    forget_bias_                b_f                        lstm, minlstm, slstm         Jozefowicz 2015
    chrono_                     biases of retention gates  lstm, gru, minlstm, mingru   Tallec & Ollivier 2018
    gate_                       any block of one gate      every cell with that gate    –
    recurrent.ring_             λ in a ring, γ from λ      lru                          Orvieto 2023

Gains of layer normalisation start at 1, and an LRU's λ evenly inside the unit circle. Each function draws in the order
in which the parameters are registered, so the same seed gives the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.recurrent_cell import RecurrentCell

Module: TypeAlias = RecurrentLayer | RecurrentCell
Start: TypeAlias = Callable[[Tensor], object]
"""A function that sets a block of weights in place."""


def uniform_(module: Module) -> None:
    """Draw every weight and bias from U(-1/√H, 1/√H): PyTorch's default."""
    module.reset_parameters()


def orthogonal_recurrent_(module: Module) -> None:
    """Set recurrent weights to random orthogonal matrices, gate by gate (Saxe 2014): h keeps its norm at first.

    A projected block [H, P] has orthonormal columns.
    """
    with torch.no_grad():
        for weight in _named(module, "weight_hh"):
            for block in weight.chunk(len(module.spec.gates)):
                nn.init.orthogonal_(block)


def identity_recurrent_(module: Module, scale: float = 1.0) -> None:
    """Set recurrent weights to ``scale`` times the identity, gate by gate, and biases to 0 (Le 2015).

    It is meant for a ReLU RNN, where h then changes only through the input. Raises ``UsageError`` for a projected h.
    """
    if module.proj_size:
        raise UsageError("module: got one with a projected h, wanted square recurrent weights")
    with torch.no_grad():
        for weight in _named(module, "weight_hh"):
            for block in weight.chunk(len(module.spec.gates)):
                nn.init.eye_(block).mul_(scale)
        for bias in (*_named(module, "bias_ih"), *_named(module, "bias_hh")):
            nn.init.zeros_(bias)


def normal_(module: Module) -> None:
    """Draw weights from N(0, 1/columns) and set biases to 0 (LeCun 1998).

    The sum of a unit then has the deviation of its inputs. The weights of a narrow input start larger than by
    ``uniform_``, whose bound depends on the hidden size alone.
    """
    with torch.no_grad():
        for weight in (*_named(module, "weight_ih"), *_named(module, "weight_hh")):
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
        for bias in (*_named(module, "bias_ih"), *_named(module, "bias_hh")):
            nn.init.zeros_(bias)


def forget_bias_(module: Module, value: float = 1.0) -> None:
    """Set the forget gate's bias to ``value``, so that the cell remembers at first (Jozefowicz 2015).

    The gate's block of ``bias_ih`` becomes ``value``. Its block of ``bias_hh``, which is added, becomes 0. Raises
    ``UsageError`` for a cell without forget gate or without biases.
    """
    gates = module.spec.gates
    if "f" not in gates:
        raise UsageError(f"module: {type(module).__name__} has no forget gate, wanted an LSTM")
    if not module.bias:
        raise UsageError("module: got one with bias=False, wanted a bias to set")
    for prefix, start in (("bias_ih", value), ("bias_hh", 0.0)):
        for bias in _named(module, prefix):
            nn.init.constant_(bias.detach().chunk(len(gates))[gates.index("f")], start)


def chrono_(module: Module, horizon: int) -> None:
    """Set gate biases so that units remember for 1 to ``horizon`` - 1 steps: chrono (Tallec & Ollivier 2018).

    LSTM: b_f = log u and b_i = -log u with u from U(1, horizon - 1) for each unit. GRU: b_z = log u, because its z is
    the share of the old state. ``bias_ih`` gets the value, and ``bias_hh``, which is added, becomes 0. Raises
    ``UsageError`` for a horizon below 3, an RNN or a cell without biases.
    """
    gates = module.spec.gates
    signs = RETENTION_GATES.get(module.spec.kind)
    if signs is None:
        raise UsageError(f"module: {type(module).__name__} has no gate that keeps, wanted an LSTM or a GRU")
    if not module.bias:
        raise UsageError("module: got one with bias=False, wanted a bias to set")
    if horizon < 3:
        raise UsageError(f"horizon: got {horizon}, wanted at least 3 steps")
    with torch.no_grad():
        for bias in _named(module, "bias_ih"):
            values = torch.empty_like(bias.chunk(len(gates))[0]).uniform_(1, horizon - 1).log_()
            for name, sign in signs.items():
                bias.chunk(len(gates))[gates.index(name)].copy_(sign * values)
        for bias in _named(module, "bias_hh"):
            for name in signs:
                bias.chunk(len(gates))[gates.index(name)].zero_()


def gate_(
    module: Module,
    gate: str,
    *,
    weight_ih: Start | None = None,
    weight_hh: Start | None = None,
    bias: float | None = None,
) -> None:
    """Initialise one gate's blocks: weights by functions such as ``torch.nn.init.orthogonal_``, the bias by a number.

    Each function gets a block, [H, I] or [H, H]. ``bias_ih`` becomes ``bias``, and ``bias_hh``, which is added, becomes
    0. Raises ``UsageError`` for a gate or weights that the module does not have.
    """
    gates = module.spec.gates
    if gate not in gates:
        raise UsageError(f"gate: {type(module).__name__} has {', '.join(gates)}, not '{gate}'")
    starts: dict[str, Start | None] = {
        "weight_ih": weight_ih,
        "weight_hh": weight_hh,
        "bias_ih": None if bias is None else lambda block: nn.init.constant_(block, bias),
    }
    for prefix, start in starts.items():
        blocks = [weight.detach().chunk(len(gates))[gates.index(gate)] for weight in _named(module, prefix)]
        if start is not None and not blocks:
            raise UsageError(f"{prefix}: {type(module).__name__} has none")
        for block in blocks:
            if start is not None:
                start(block)
    if bias is not None:
        for weight in _named(module, "bias_hh"):
            nn.init.zeros_(weight.detach().chunk(len(gates))[gates.index(gate)])


RETENTION_GATES: dict[str, dict[str, float]] = {
    "lstm": {"f": 1.0, "i": -1.0}, "cifg": {"f": 1.0}, "minlstm": {"f": 1.0, "i": -1.0}, "gru": {"z": 1.0},
    "mingru": {"z": -1.0},
}  # fmt: skip
"""Gates from 0 to 1 that set the share of the old state (1) or of the new value (-1)."""

RECURRENT: dict[str, Callable[[Module], None]] = {
    "orthogonal": orthogonal_recurrent_, "identity": identity_recurrent_, "normal": normal_,
    "uniform": lambda module: None,
}  # fmt: skip
"""Initialisations by the value of the option ``recurrent_init``. A new layer is uniform already."""


def _named(module: Module, prefix: str) -> Iterator[Tensor]:
    return (parameter for name, parameter in module.named_parameters() if name.startswith(prefix))
