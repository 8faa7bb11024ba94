"""Put Seriatim's layers where a model has PyTorch's, with the same weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from seriatim.errors import UsageError
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.layers import GRU, LSTM, RNN

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
"""What the engine runs."""
PHI = {"RNN_TANH": "tanh", "RNN_RELU": "relu"}


def _rnn(old: Any) -> nn.Module:
    return RNN(
        old.input_size, old.hidden_size, old.num_layers, PHI[old.mode], old.bias, old.batch_first, float(old.dropout),
        old.bidirectional, device="meta",
    )  # fmt: skip


def _gru(old: Any) -> nn.Module:
    return GRU(
        old.input_size, old.hidden_size, old.num_layers, old.bias, old.batch_first, float(old.dropout),
        old.bidirectional, device="meta",
    )  # fmt: skip


def _lstm(old: Any) -> nn.Module:
    return LSTM(
        old.input_size, old.hidden_size, old.num_layers, old.bias, old.batch_first, float(old.dropout),
        old.bidirectional, old.proj_size, device="meta",
    )  # fmt: skip


MAKERS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.RNN: _rnn,
    nn.GRU: _gru,
    nn.LSTM: _lstm,
    nn.RNNCell: lambda old: RNNCell(old.input_size, old.hidden_size, old.bias, old.nonlinearity, device="meta"),
    nn.GRUCell: lambda old: GRUCell(old.input_size, old.hidden_size, old.bias, device="meta"),
    nn.LSTMCell: lambda old: LSTMCell(old.input_size, old.hidden_size, old.bias, device="meta"),
}
"""A module of ours like one of PyTorch's, on no device: it gets the other's parameters."""


@dataclass
class Accelerated:
    """What ``accelerate`` did. ``print`` it."""

    model: nn.Module
    """The model: the one that was given, or its replacement if it was itself such a layer."""
    changed: dict[str, str] = field(default_factory=dict)
    """Path of each module that was replaced → what stands there now. The model itself has the path ``""``."""
    left: dict[str, str] = field(default_factory=dict)
    """Path of each recurrent module that was not → why."""

    def __str__(self) -> str:
        rows = [("changed", *item) for item in self.changed.items()] + [("left", *item) for item in self.left.items()]
        if not rows:
            return "nothing to accelerate: no recurrent layer of torch.nn"
        width = max(len(path or "(model)") for _, path, _ in rows)
        lines = [f"{done:7}  {path or '(model)':{width}}  {what}" for done, path, what in rows]
        return "\n".join([f"{len(self.changed)} changed, {len(self.left)} left", *lines])


def accelerate(model: nn.Module) -> Accelerated:
    """Replace every ``torch.nn.RNN``, ``LSTM``, ``GRU`` and their cells inside ``model`` by ours, in place.

    The new modules hold the same ``Parameter`` objects, so optimizers and tied weights go on as before, and the same
    hooks, mode and names in ``state_dict``. A module that stands in several places stays one. Left as they are:
    subclasses, modules whose weights are made from something else (parametrisations, weight norm, quantised ones), and
    those on a GPU or of a dtype that the engine does not run. Calling it again changes nothing.

    Raises ``UsageError`` if ``model`` is no module.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(f"model: got {type(model).__name__}, wanted a torch.nn.Module")
    report = Accelerated(model)
    made: dict[nn.Module, nn.Module] = {}
    for path, module in model.named_modules():
        reason = _reason_to_leave(module)
        if reason is not None:
            report.left[path] = reason
        elif type(module) in MAKERS:
            made[module] = _replacement(module)
            report.changed[path] = repr(made[module])
    for parent, name, child in list(_places(model)):
        if child in made:
            parent._modules[name] = made[child]
    report.model = made.get(model, model)
    return report


def _places(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Every place in the model where a module stands: parent, name, child."""
    for parent in model.modules():
        for name, child in parent._modules.items():
            if child is not None:
                yield parent, name, child


def _reason_to_leave(module: nn.Module) -> str | None:
    """Why a recurrent module stays; None if it does not, or is none of PyTorch's."""
    kind = type(module)
    if kind not in MAKERS:
        base = next((one for one in MAKERS if isinstance(module, one)), None)
        if base is None:
            quantised = "quantized" in kind.__module__ and any(kind.__name__ == one.__name__ for one in MAKERS)
            return "quantised" if quantised else None
        if parametrize.is_parametrized(module):
            return f"parametrised: {', '.join(module.parametrizations)}"  # type: ignore[arg-type]
        return f"{kind.__name__} is a subclass of {base.__name__} and may compute something else"
    if "forward" in vars(module):
        return "its forward was replaced"
    wanted = {name for name, one in _expected(module)}
    missing = sorted(wanted - {name for name, one in module._parameters.items() if one is not None})
    if missing:
        return f"no plain parameter: {', '.join(missing)}"
    parameter = next(module.parameters())
    if parameter.device.type not in ("cpu", "meta"):
        return f"it is on {parameter.device}"
    if parameter.dtype not in DTYPES:
        return f"it is of {str(parameter.dtype).removeprefix('torch.')}"
    return None


def _expected(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Names and stand-ins of the parameters that a module like this has."""
    return list(MAKERS[type(module)](module).named_parameters())


def _replacement(old: nn.Module) -> nn.Module:
    """Ours in place of ``old``: everything that makes it a module is shared, hooks and parameters included."""
    new = MAKERS[type(old)](old)
    shared = vars(nn.Module())
    known = vars(type(old)(1, 1, device="meta"))
    for name, value in vars(old).items():
        if name in shared or name not in known:  # what the user put there stays too
            vars(new)[name] = value
    return new
