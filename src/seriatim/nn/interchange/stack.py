"""Layers of Seriatim from and to the form between all converters (``layouts/stack_layer.py``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from seriatim.errors import UsageError
from seriatim.layouts.stack_layer import Array, StackLayer
from seriatim.nn.layers import GRU, LSTM, RNN
from seriatim.nn.recurrent import DEFAULTS, FIELDS, gather, weight_names
from seriatim.ops.recurrence import Weights
from seriatim.spec import CellSpec

Layer: TypeAlias = RNN | LSTM | GRU


LAYERS: dict[str, type[Layer]] = {"rnn": RNN, "lstm": LSTM, "cifg": LSTM, "gru": GRU}

ARGUMENTS: dict[str, Callable[[CellSpec], dict[str, Any]]] = {
    "rnn": lambda spec: {"nonlinearity": spec.activation, "proj_size": spec.proj_size, "clip": spec.clip},
    "lstm": lambda spec: {"proj_size": spec.proj_size, "peephole": spec.peephole, "clip": spec.clip},
    "cifg": lambda spec: {"proj_size": spec.proj_size, "peephole": spec.peephole, "coupled": True, "clip": spec.clip},
    "gru": lambda spec: {"proj_size": spec.proj_size, "reset_after": spec.reset_after, "clip": spec.clip},
}
"""Arguments of the constructor of a layer or a cell for a spec, without those that all kinds share."""


def build(parts: Sequence[StackLayer], *, batch_first: bool) -> Layer:
    """Build a layer with these weights. Raises ``UsageError`` for parts that do not form one stack."""
    first = parts[0]
    directions = len(first.weights)
    width = directions * first.spec.output_size
    for number, part in enumerate(parts[1:], start=2):
        _agree(number, "directions", len(part.weights), directions)
        for field in dataclasses.fields(CellSpec):
            expected = width if field.name == "input_size" else getattr(first.spec, field.name)
            _agree(number, field.name, getattr(part.spec, field.name), expected)
    named = {
        f"{field}_l{number}{direction}": array
        for number, part in enumerate(parts)
        for direction, weights in zip(("", "_reverse"), part.weights, strict=False)
        for field, array in zip(FIELDS, weights.as_list(), strict=True)
        if array is not None
    }
    dtypes = sorted({str(array.dtype) for array in named.values()})
    if len(dtypes) > 1:
        raise UsageError(f"weights: got {' and '.join(dtypes)}, wanted one dtype for all")
    options = {
        "num_layers": len(parts), "bias": first.spec.bias, "batch_first": batch_first,
        "bidirectional": directions == 2, "layer_norm": first.spec.layer_norm, "dtype": getattr(torch, dtypes[0]),
    }  # fmt: skip
    options |= ARGUMENTS[first.kind](first.spec)
    layer = LAYERS[first.kind](first.spec.input_size, first.spec.hidden_size, **options)
    layer.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in named.items()})
    return layer


def parts_of(layer: Layer) -> list[StackLayer]:
    """Copy the weights of a layer. Raises ``UsageError`` if it is not an RNN, LSTM or GRU of Seriatim."""
    if not isinstance(layer, (RNN, LSTM, GRU)):
        type_ = type(layer)
        raise UsageError(f"layer: got {type_.__module__}.{type_.__name__}, wanted an RNN, LSTM or GRU of seriatim.nn")
    parts = []
    for number in range(layer.num_layers):
        weights = tuple(
            arrays(gather(layer, weight_names(layer.spec, f"_l{number}{direction}")))
            for direction in ("", "_reverse")[: 2 if layer.bidirectional else 1]
        )
        parts.append(StackLayer(dataclasses.replace(layer.spec, input_size=weights[0].w_ih.shape[1]), weights))
    return parts


def refuse(module: Any, framework: str, supported: Sequence[str] = (), inference: bool = False) -> None:
    """Raise ``UsageError`` if a layer or a cell has an option that ``framework`` lacks; it has those in ``supported``.

    With ``inference`` options that act in training alone are left out silently.
    """
    for name in VARIANTS:
        value = getattr(module, name, DEFAULTS[name])
        if name in supported or value == DEFAULTS[name] or value == (0.0, 0.0) or (inference and name in TRAINING):
            continue
        hint = "; inference=True leaves it out, as it acts in training alone" if name in TRAINING else ""
        raise UsageError(f"layer: {name}={value} has no place in {framework}{hint}")


VARIANTS = (
    "proj_size", "peephole", "coupled", "reset_after", "layer_norm", "clip", "zoneout", "dropout", "locked_dropout",
    "recurrent_dropout",
)  # fmt: skip
"""Options that some frameworks lack."""
TRAINING = ("dropout", "locked_dropout", "recurrent_dropout")
"""Options that act in training alone."""


def joined_bias(weights: Weights[Array]) -> Array | None:
    """b_ih + b_hh, for a framework that has one bias; None without biases."""
    return None if weights.b_ih is None or weights.b_hh is None else weights.b_ih + weights.b_hh


def listed(theirs: object) -> list[Any]:
    """One layer or a list of layers, as a list. Raises ``UsageError`` for an empty list."""
    layers = list(theirs) if isinstance(theirs, (list, tuple)) else [theirs]
    if not layers:
        raise UsageError("layers: got none, wanted at least one")
    return layers


def _agree(number: int, name: str, value: object, expected: object) -> None:
    if value != expected:
        raise UsageError(f"layers: layer {number} of the stack has {name} {value}, wanted {expected} after the first")


def arrays(weights: Weights[torch.Tensor]) -> Weights[Array]:
    """Copy the weights to NumPy arrays. Raises ``UsageError`` for a dtype other than float32 and float64."""
    copies = []
    for weight in weights.present():
        if weight.dtype not in (torch.float32, torch.float64):
            raise UsageError(f"layer: got {str(weight.dtype).removeprefix('torch.')}, wanted float32 or float64")
        copies.append(weight.detach().cpu().numpy().copy())
    remaining = iter(copies)
    return Weights(*[None if weight is None else next(remaining) for weight in weights.as_list()])
