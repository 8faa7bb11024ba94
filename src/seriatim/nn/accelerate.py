"""Replacement of PyTorch's recurrent layers in a model by Seriatim's, with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import index
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from seriatim.errors import UsageError
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.layers import GRU, LSTM, RNN

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


@dataclass
class Accelerated:
    """The report of ``accelerate``: which modules were replaced. ``print`` it."""

    model: nn.Module
    """The model, or its replacement if the model itself was a recurrent layer."""
    changed: dict[str, str] = field(default_factory=dict)
    """Path of each replaced module → the new module. The model itself has the path ``""``."""
    left: dict[str, str] = field(default_factory=dict)
    """Path of each recurrent module that was not replaced → the reason."""

    def __str__(self) -> str:
        rows = [("changed", *item) for item in self.changed.items()] + [("left", *item) for item in self.left.items()]
        if not rows:
            return "nothing to accelerate: no recurrent layer of torch.nn"
        width = max(len(path or "(model)") for _, path, _ in rows)
        lines = [f"{outcome:7}  {path or '(model)':{width}}  {text}" for outcome, path, text in rows]
        return "\n".join([f"{len(self.changed)} changed, {len(self.left)} left", *lines])


def accelerate(model: nn.Module) -> Accelerated:
    """Replace every ``torch.nn.RNN``, ``LSTM``, ``GRU`` and their cells inside ``model`` by ours, in place.

    The new modules have the same ``Parameter`` objects, so optimizers and tied weights work as before, and the same
    hooks, mode and names in ``state_dict``. A module that occurs in several places is replaced by one module. Not
    replaced are subclasses, modules with computed weights (parametrisations, weight norm, quantisation), and modules on
    a GPU or with a dtype that the engine does not run. A second call changes nothing.

    A change of a part of a weight through ``weight.data`` or NumPy in the middle of a loop of single steps may be seen
    only by the next sequence. ``torch.autograd.graph.increment_version(weight)`` makes the next step see it.

    Raises ``UsageError`` if ``model`` is not a ``torch.nn.Module``.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LSTM(8, 16))
    >>> print(accelerate(model))
    1 changed, 0 left
    changed  1  LSTM(8, 16)
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model: got {type(model).__name__}, wanted a torch.nn.Module")
    report = Accelerated(model)
    replacements: dict[nn.Module, nn.Module] = {}
    for path, module in model.named_modules():
        reason = _reason_to_leave(module)
        if reason is not None:
            report.left[path] = reason
        elif type(module) in MAKERS:
            replacements[module] = _replacement(module)
            report.changed[path] = repr(replacements[module])
    for parent, name, child in list(_places(model)):
        if child in replacements:
            parent._modules[name] = replacements[child]
    report.model = replacements.get(model, model)
    return report


def _places(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """All places of modules in the model: parent, name, child."""
    for parent in model.modules():
        for name, child in parent._modules.items():
            if child is not None:
                yield parent, name, child


def _reason_to_leave(module: nn.Module) -> str | None:
    """The reason not to replace a recurrent module; None for one to replace and for other modules."""
    type_ = type(module)
    if type_ not in MAKERS:
        base = next((base_type for base_type in MAKERS if isinstance(module, base_type)), None)
        if base is None:
            quantised = "quantized" in type_.__module__ and any(
                type_.__name__ == base_type.__name__ for base_type in MAKERS
            )
            return "quantised" if quantised else None
        if parametrize.is_parametrized(module):
            return f"parametrised: {', '.join(module.parametrizations)}"  # type: ignore[arg-type]
        name = type_.__name__ if type_.__name__ != base.__name__ else f"{type_.__module__}.{type_.__qualname__}"
        return f"{name} is a subclass of {base.__name__} and may compute something else"
    if "forward" in vars(module):
        return "its forward was replaced"
    try:
        expected = {name for name, _ in _expected(module)}
    except (UsageError, TypeError, KeyError) as error:  # PyTorch allows what ours refuse
        return str(error)
    missing = sorted(expected - {name for name, value in module._parameters.items() if value is not None})
    if missing:
        return f"no plain parameter: {', '.join(missing)}"
    parameter = next(module.parameters())
    if parameter.device.type not in ("cpu", "meta"):
        return f"it is on {parameter.device}"
    if parameter.dtype not in DTYPES:
        return f"it is of {str(parameter.dtype).removeprefix('torch.')}"
    return None


def _expected(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Names and placeholders of the parameters that a module of this type has."""
    return list(MAKERS[type(module)](module).named_parameters())


def _replacement(old: nn.Module) -> nn.Module:
    """Build our module in place of ``old``. They share parameters, hooks, mode and all else of an ``nn.Module``."""
    new = MAKERS[type(old)](old)
    shared = vars(nn.Module())
    known = vars(type(old)(1, 1, device="meta"))
    for name, value in vars(old).items():
        if name in shared or name not in known:  # attributes that the user has set are kept too
            vars(new)[name] = value
    return new
