"""How the weights of a layer or a cell start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor, nn

from seriatim.errors import UsageError
from seriatim.nn.cells import RecurrentCell
from seriatim.nn.recurrent import Recurrent

Module: TypeAlias = Recurrent | RecurrentCell


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


RECURRENT: dict[str, Callable[[Module], None]] = {"orthogonal": orthogonal_recurrent_, "uniform": uniform_}
"""By the name of the option ``recurrent_init``."""


def _named(module: Module, prefix: str) -> Iterator[Tensor]:
    return (parameter for name, parameter in module.named_parameters() if name.startswith(prefix))
