"""The way back from ``accelerate``: PyTorch's own recurrent layers, with the same weights."""

from __future__ import annotations

from torch import nn

from seriatim.nn.recurrent import RecurrentLayer
from seriatim.nn.recurrent_cell import RecurrentCell
from seriatim.nn.replacement import ReplacementReport, replace_modules
from seriatim.nn.subclasses import revert_in_place
from seriatim.nn.torch_layers import (
    TorchCell,
    TorchLayer,
    empty_torch_module,
    is_public,
    reason_to_keep,
    torch_module,
)


def restore(model: nn.Module) -> ReplacementReport:
    """Replace Seriatim's RNN, LSTM, GRU and their cells inside ``model`` by those of ``torch.nn``, in place.

    This is the inverse of ``accelerate``: parameters, hooks, mode and names in ``state_dict`` stay the same. Modules
    with options that PyTorch lacks are not replaced, nor are subclasses and modules with computed weights.

    Raises ``UsageError`` if ``model`` is not a ``torch.nn.Module``.

    >>> from seriatim.nn import accelerate
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.LSTM(8, 16))
    >>> report = accelerate(model)
    >>> print(restore(model))
    1 changed, 0 left
    changed  1  LSTM(8, 16)
    >>> type(model[1]) is nn.LSTM
    True
    """
    return replace_modules(
        model, _reason_to_leave, _is_ours, _replacement, "nothing to restore: no recurrent layer of seriatim.nn"
    )


def _is_ours(module: nn.Module) -> bool:
    return is_public(module) or hasattr(type(module), "accelerated_bases")


def _replacement(old: nn.Module) -> nn.Module:
    return torch_module(old) if is_public(old) else revert_in_place(old, empty_torch_module(old))


def _reason_to_leave(module: nn.Module) -> str | None:
    """The reason not to replace a module of ours; None for one to replace and for other modules."""
    if _is_ours(module):
        return reason_to_keep(module)
    if isinstance(module, (TorchLayer, TorchCell)):
        base = next(base for base in type(module).__mro__ if {TorchLayer, TorchCell} & {*base.__bases__})
        return f"{type(module).__name__} is a subclass of {base.__name__}"
    return f"PyTorch has no {type(module).__name__}" if isinstance(module, (RecurrentLayer, RecurrentCell)) else None
