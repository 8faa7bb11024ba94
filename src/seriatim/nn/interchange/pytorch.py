"""Conversion from and to PyTorch, which has the same parameters under the same names, so it is exact."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import nn

from seriatim.errors import UsageError
from seriatim.nn.accelerate import MAKERS, accelerate
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.interchange.stack import refuse
from seriatim.nn.layers import GRU, LSTM, RNN


def from_torch(module: nn.Module) -> nn.Module:
    """Convert a ``torch.nn.RNN``, ``LSTM``, ``GRU`` or one of their cells, with copies of its weights, mode and dtype.

    (``seriatim.accelerate`` replaces such modules inside a model and shares their weights.) Raises ``UsageError`` for
    any other module, and for computed weights, such as parametrisations.
    """
    known = isinstance(module, tuple(MAKERS))
    report = accelerate(copy.deepcopy(module)) if known else None
    if report is None or report.left or not report.changed:
        reason = (
            "; ".join(report.left.values()) if report else "wanted an RNN, LSTM or GRU of torch.nn, or a cell of them"
        )
        raise UsageError(f"module: got {type(module).__name__}, {reason}")
    return report.model


def to_torch(module: nn.Module, *, inference: bool = False) -> nn.Module:
    """Convert a layer or cell to the one of ``torch.nn``, with copies of its weights, mode, dtype and device.

    Raises ``UsageError`` for options that PyTorch lacks: peepholes, layer normalisation, zoneout,
    ``reset_after=False``, a projected RNN or GRU, the sigmoid RNN, a projected cell; and for locked and recurrent
    dropout, unless ``inference``.
    """
    if type(module) not in THEIRS:
        raise UsageError(f"module: got {type(module).__name__}, wanted an RNN, LSTM or GRU of seriatim.nn, or a cell")
    supported = ("dropout", "proj_size") if isinstance(module, LSTM) else ("dropout",)
    refuse(module, f"torch.nn.{type(module).__name__}", supported, inference)
    if isinstance(module, (RNN, RNNCell)) and module.nonlinearity == "sigmoid":
        raise UsageError("layer: nonlinearity=sigmoid has no place in torch.nn, which has tanh and relu")
    converted = THEIRS[type(module)](module)
    first = next(module.parameters())
    converted = converted.to_empty(device=first.device).to(first.dtype)
    converted.load_state_dict({name: value.detach() for name, value in module.state_dict().items()})
    return converted.train(module.training)


def _stacked(old: Any) -> dict[str, Any]:
    return {
        "num_layers": old.num_layers, "bias": old.bias, "batch_first": old.batch_first, "dropout": old.dropout,
        "bidirectional": old.bidirectional, "device": "meta",
    }  # fmt: skip


THEIRS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    RNN: lambda old: nn.RNN(old.input_size, old.hidden_size, nonlinearity=old.nonlinearity, **_stacked(old)),
    LSTM: lambda old: nn.LSTM(old.input_size, old.hidden_size, proj_size=old.proj_size, **_stacked(old)),
    GRU: lambda old: nn.GRU(old.input_size, old.hidden_size, **_stacked(old)),
    RNNCell: lambda old: nn.RNNCell(old.input_size, old.hidden_size, old.bias, old.nonlinearity, device="meta"),
    LSTMCell: lambda old: nn.LSTMCell(old.input_size, old.hidden_size, old.bias, device="meta"),
    GRUCell: lambda old: nn.GRUCell(old.input_size, old.hidden_size, old.bias, device="meta"),
}
"""For each class of Seriatim: a function that builds PyTorch's module, on no device."""
