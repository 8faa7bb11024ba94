"""How the weights of a layer or a cell start. Each function changes a module in place and leaves the rest of it alone.

    function                    what                       of                           source
    module.reset_parameters     all from U(-1/√H, 1/√H)    every cell                   PyTorch's start
    orthogonal_recurrent_       weight_hh, by gate         rnn, lstm, gru, slstm        Saxe 2014
    identity_recurrent_         weight_hh = I, biases 0    the same; for a ReLU RNN     Le 2015
    normal_                     N(0, 1/columns), b = 0     rnn, lstm, gru, slstm        LeCun 1998
    forget_bias_                b_f                        lstm, minlstm, slstm         Jozefowicz 2015
    chrono_                     biases of what keeps       lstm, gru, minlstm, mingru   Tallec & Ollivier 2018
    gate_                       any block of one gate      every cell with that gate    –
    recurrent.ring_             λ in a ring, γ by it       lru                          Orvieto 2023

Gains of layer normalisation start at 1, an LRU's λ anywhere in the unit circle. The same seed gives the same weights:
each draws in the order in which the parameters are registered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.nn.cells import RecurrentCell
from seriatim.nn.recurrent import RecurrentLayer

Module: TypeAlias = RecurrentLayer | RecurrentCell
Start: TypeAlias = Callable[[Tensor], object]
"""Sets a block of weights in place."""


def uniform_(module: Module) -> None:
    """PyTorch's start: every weight and bias from U(-1/√H, 1/√H)."""
    module.reset_parameters()


def orthogonal_recurrent_(module: Module) -> None:
    """Recurrent weights start orthogonal, gate block by gate block (Saxe 2014): h keeps its norm at first.

    A projected block [H, P] has orthonormal columns.
    """
    with torch.no_grad():
        for weight in _named(module, "weight_hh"):
            for block in weight.chunk(len(module.spec.gates)):
                nn.init.orthogonal_(block)


def identity_recurrent_(module: Module, scale: float = 1.0) -> None:
    """Recurrent weights start as ``scale`` times the identity, gate block by gate block, and biases as 0 (Le 2015).

    Meant for a ReLU RNN: h stays what it is until an input changes it. Raises ``UsageError`` for a projected h.
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
    """Weights start from N(0, 1/columns) and biases as 0 (LeCun 1998): what a unit sums up has its inputs' deviation.

    So those of a narrow input start larger than by ``uniform_``, which looks at the hidden units alone.
    """
    with torch.no_grad():
        for weight in (*_named(module, "weight_ih"), *_named(module, "weight_hh")):
            nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
        for bias in (*_named(module, "bias_ih"), *_named(module, "bias_hh")):
            nn.init.zeros_(bias)


def forget_bias_(module: Module, value: float = 1.0) -> None:
    """The forget gate's bias starts at ``value``, so that the cell remembers at first (Jozefowicz 2015).

    The block of ``bias_ih`` is set to ``value`` and that of ``bias_hh``, which is added to it, to 0. Raises
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
    """Gates start so that units remember for 1 to ``horizon`` - 1 steps: chrono (Tallec & Ollivier 2018).

    LSTM: b_f = log u and b_i = -log u with u from U(1, horizon - 1) for each unit. GRU: b_z = log u, as PyTorch's z is
    the share that is kept. ``bias_ih`` gets the value and ``bias_hh``, which is added to it, 0. Raises ``UsageError``
    for a horizon below 3, an RNN or a cell without biases.
    """
    gates = module.spec.gates
    signs = KEEPING.get(module.spec.kind)
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
    """Start one gate's blocks: weights by a function such as ``torch.nn.init.orthogonal_``, the bias at a number.

    Each function gets a block, [H, I] or [H, H]. ``bias_ih`` is set to ``bias``, and ``bias_hh``, which is added to it,
    to 0. Raises ``UsageError`` for a gate or weights that the module does not have.
    """
    gates = module.spec.gates
    if gate not in gates:
        raise UsageError(f"gate: {type(module).__name__} has {', '.join(gates)}, not '{gate}'")
    wanted: dict[str, Start | None] = {
        "weight_ih": weight_ih,
        "weight_hh": weight_hh,
        "bias_ih": None if bias is None else lambda block: nn.init.constant_(block, bias),
    }
    for prefix, start in wanted.items():
        blocks = [one.detach().chunk(len(gates))[gates.index(gate)] for one in _named(module, prefix)]
        if start is not None and not blocks:
            raise UsageError(f"{prefix}: {type(module).__name__} has none")
        for block in blocks:
            if start is not None:
                start(block)
    if bias is not None:
        for one in _named(module, "bias_hh"):
            nn.init.zeros_(one.detach().chunk(len(gates))[gates.index(gate)])


KEEPING: dict[str, dict[str, float]] = {
    "lstm": {"f": 1.0, "i": -1.0}, "minlstm": {"f": 1.0, "i": -1.0}, "gru": {"z": 1.0}, "mingru": {"z": -1.0},
}  # fmt: skip
"""Gates that say how much is kept, and (-1) how much is taken up, where that is a number from 0 to 1."""

RECURRENT: dict[str, Callable[[Module], None]] = {
    "orthogonal": orthogonal_recurrent_, "identity": identity_recurrent_, "normal": normal_,
    "uniform": lambda module: None,
}  # fmt: skip
"""By the name of the option ``recurrent_init``. A layer starts uniform."""


def _named(module: Module, prefix: str) -> Iterator[Tensor]:
    return (parameter for name, parameter in module.named_parameters() if name.startswith(prefix))
