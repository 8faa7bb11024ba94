"""Replacement of PyTorch's recurrent layers in a model by Seriatim's, with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from seriatim.errors import UsageError
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.layers import GRU, LSTM, RNN
from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.recurrent_cell import RecurrentCell
from seriatim.nn.replacement import ReplacementReport, missing_parameters, replace_modules, take_over
from seriatim.nn.subclasses import convert_in_place, reason_to_leave_subclass

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
"""The dtypes that the engine runs."""
PHI = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}


def _sizes(old: Any) -> tuple[int, int]:
    return index(old.input_size), index(old.hidden_size)


def _options(old: Any) -> dict[str, Any]:
    """The options of a layer. PyTorch takes NumPy's numbers for them too, and 0 and 1 for False and True."""
    return {
        "num_layers": index(old.num_layers), "bias": bool(old.bias), "batch_first": bool(old.batch_first),
        "dropout": float(old.dropout), "bidirectional": bool(old.bidirectional), "device": "meta",
    }  # fmt: skip


MAKERS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.RNN: lambda old: RNN(*_sizes(old), nonlinearity=PHI[old.mode], **_options(old)),
    nn.GRU: lambda old: GRU(*_sizes(old), **_options(old)),
    nn.LSTM: lambda old: LSTM(*_sizes(old), proj_size=index(old.proj_size), **_options(old)),
    nn.RNNCell: lambda old: RNNCell(*_sizes(old), bool(old.bias), old.nonlinearity, device="meta"),
    nn.GRUCell: lambda old: GRUCell(*_sizes(old), bool(old.bias), device="meta"),
    nn.LSTMCell: lambda old: LSTMCell(*_sizes(old), bool(old.bias), device="meta"),
}
"""For each module of PyTorch: a function that builds ours, on no device; it then gets the other's parameters."""


NAMES = frozenset(type_.__name__ for type_ in MAKERS)
NOTHING = "nothing to accelerate: no recurrent layer of torch.nn"
NOTE = "quantize_dynamic, Opacus and other code that compares type(module) need seriatim.restore(model) first"


def accelerate(model: nn.Module) -> ReplacementReport:
    """Replace every ``torch.nn.RNN``, ``LSTM``, ``GRU`` and their cells inside ``model`` by ours, in place.

    The new modules have the same ``Parameter`` objects, so optimizers and tied weights work as before, and the same
    hooks, mode and names in ``state_dict``. A module that occurs in several places is replaced by one module, and so is
    a module in a plain list or dict of an attribute. A module of a subclass of yours that extends ``forward`` alone
    stays and calls ours where it calls ``super().forward``. Not replaced are other subclasses, modules with computed
    weights (parametrisations, weight norm, quantisation), scripted modules, modules in tuples, and modules on a GPU or
    with a dtype that the engine does not run. A second call changes nothing. ``restore`` puts PyTorch's own modules
    back.

    The new classes are subclasses of PyTorch's, so ``isinstance(module, torch.nn.LSTM)`` stays true. A program that
    compares ``type(module)`` does not see them: ``torch.ao.quantization.quantize_dynamic`` leaves them as they are, and
    Opacus' ``ModuleValidator`` does not replace them. Call ``restore`` first. ``torch.jit.script`` and
    ``torch.onnx.export`` record PyTorch's own operations; the first also puts PyTorch's own layers into the model.

    A change of a part of a weight through ``weight.data`` or NumPy in the middle of a loop of single steps may be seen
    only by the next sequence. ``torch.autograd.graph.increment_version(weight)`` makes the next step see it.

    Raises ``UsageError`` if ``model`` is not a ``torch.nn.Module``.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LSTM(8, 16))
    >>> print(accelerate(model))
    1 changed, 0 left
    changed  1  LSTM(8, 16)
    note     quantize_dynamic, Opacus and other code that compares type(module) need seriatim.restore(model) first
    """
    return replace_modules(model, _reason_to_leave, _is_torch_layer, _replacement, NOTHING, NOTE)


def _base(module: nn.Module) -> type[nn.Module] | None:
    """The class of PyTorch that ``module`` is an instance of; None for ours and for other modules."""
    if isinstance(module, (RecurrentLayer, RecurrentCell)):
        return None
    return next((base for base in MAKERS if isinstance(module, base)), None)


def _is_torch_layer(module: nn.Module) -> bool:
    return _base(module) is not None


def _replacement(old: nn.Module) -> nn.Module:
    base = _base(old)
    assert base is not None
    ours = MAKERS[base](old)
    return take_over(old, ours) if type(old) is base else convert_in_place(old, base, ours)


def _reason_to_leave(module: nn.Module) -> str | None:
    """The reason not to replace a recurrent module; None for one to replace and for other modules."""
    if isinstance(module, torch.jit.ScriptModule):
        return "scripted" if module.original_name in NAMES else None
    base = _base(module)
    if base is None:
        type_ = type(module)
        return "quantised" if "quantized" in type_.__module__ and type_.__name__ in NAMES else None
    if parametrize.is_parametrized(module):
        return f"parametrised: {', '.join(module.parametrizations)}"  # type: ignore[arg-type]
    if "forward" in vars(module):
        return "its forward was replaced"
    try:
        ours = MAKERS[base](module)
    except (UsageError, TypeError, KeyError) as error:  # PyTorch allows what ours refuse
        return str(error)
    reason = missing_parameters(module, ours)
    if reason is None and type(module) is not base:
        reason = reason_to_leave_subclass(module, base, ours)
    if reason is not None:
        return reason
    parameter = next(module.parameters())
    if parameter.device.type not in ("cpu", "meta"):
        return f"it is on {parameter.device}"
    if parameter.dtype not in DTYPES:
        return f"it is of {str(parameter.dtype).removeprefix('torch.')}"
    return None
