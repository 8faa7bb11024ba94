"""Conversion from and to PyTorch, which has the same parameters under the same names, so it is exact."""

from __future__ import annotations

import copy

from torch import nn

from seriatim.errors import UsageError
from seriatim.nn.accelerate import MAKERS, accelerate
from seriatim.nn.cells import RNNCell
from seriatim.nn.interchange.stack import refuse
from seriatim.nn.layers import LSTM, RNN
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.recurrent_cell import RecurrentCell
from seriatim.nn.torch_layers import empty_torch_module, is_public


def from_torch(module: nn.Module) -> nn.Module:
    """Convert a ``torch.nn.RNN``, ``LSTM``, ``GRU`` or one of their cells, with copies of its weights, mode and dtype.

    (``seriatim.accelerate`` replaces such modules inside a model and shares their weights.) Raises ``UsageError`` for
    any other module, and for computed weights, such as parametrisations.
    """
    known = isinstance(module, tuple(MAKERS)) and not isinstance(module, (RecurrentLayer, RecurrentCell))
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
    if not is_public(module):
        raise UsageError(f"module: got {type(module).__name__}, wanted an RNN, LSTM or GRU of seriatim.nn, or a cell")
    supported = ("dropout", "proj_size") if isinstance(module, LSTM) else ("dropout",)
    refuse(module, f"torch.nn.{type(module).__name__}", supported, inference)
    if isinstance(module, (RNN, RNNCell)) and module.nonlinearity == "sigmoid":
        raise UsageError("layer: nonlinearity=sigmoid has no place in torch.nn, which has tanh and relu")
    converted = empty_torch_module(module)
    first = next(module.parameters())
    converted = converted.to_empty(device=first.device).to(first.dtype)
    converted.load_state_dict({name: value.detach() for name, value in module.state_dict().items()})
    return converted.train(module.training)
