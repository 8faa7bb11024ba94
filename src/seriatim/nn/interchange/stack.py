"""What every converter goes through: the layers of a stack as NumPy arrays in our order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from seriatim.errors import UsageError
from seriatim.nn.layers import GRU, LSTM, RNN
from seriatim.nn.recurrent import DEFAULTS, FIELDS, gather, weight_names
from seriatim.ops.recurrence import Weights
from seriatim.spec import CellSpec

Array: TypeAlias = NDArray[Any]
Layer: TypeAlias = RNN | LSTM | GRU


@dataclass(frozen=True)
class Part:
    """One layer of a stack."""

    spec: CellSpec
    weights: tuple[Weights[Array], ...]
    """Of the direction that reads from the start, then, if there are two, of the one that reads from the end."""

    @property
    def kind(self) -> str:
        return self.spec.kind


LAYERS: dict[str, type[Layer]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}

ARGUMENTS: dict[str, Callable[[CellSpec], dict[str, Any]]] = {
    "rnn": lambda spec: {"nonlinearity": spec.activation, "proj_size": spec.proj_size, "clip": spec.clip},
    "lstm": lambda spec: {"proj_size": spec.proj_size, "peephole": spec.peephole, "clip": spec.clip},
    "gru": lambda spec: {"proj_size": spec.proj_size, "reset_after": spec.reset_after, "clip": spec.clip},
}
"""What the constructor of a layer or a cell takes for a spec, beside what all take."""


def build(parts: Sequence[Part], *, batch_first: bool) -> Layer:
    """A layer with these weights. Raises ``UsageError`` for parts that are no one stack."""
    first = parts[0]
    directions = len(first.weights)
    width = directions * first.spec.output_size
    for number, part in enumerate(parts[1:], start=2):
        _agree(number, "directions", len(part.weights), directions)
        for field in dataclasses.fields(CellSpec):
            wanted = width if field.name == "input_size" else getattr(first.spec, field.name)
            _agree(number, field.name, getattr(part.spec, field.name), wanted)
    named = {
        f"{field}_l{number}{direction}": one
        for number, part in enumerate(parts)
        for direction, weights in zip(("", "_reverse"), part.weights, strict=False)
        for field, one in zip(FIELDS, weights.as_list(), strict=True)
        if one is not None
    }
    dtypes = sorted({str(one.dtype) for one in named.values()})
    if len(dtypes) > 1:
        raise UsageError(f"weights: got {' and '.join(dtypes)}, wanted one dtype for all")
    options = {
        "num_layers": len(parts), "bias": first.spec.bias, "batch_first": batch_first,
        "bidirectional": directions == 2, "layer_norm": first.spec.layer_norm, "dtype": getattr(torch, dtypes[0]),
    }  # fmt: skip
    options |= ARGUMENTS[first.kind](first.spec)
    layer = LAYERS[first.kind](first.spec.input_size, first.spec.hidden_size, **options)
    layer.load_state_dict({name: torch.from_numpy(np.array(one)) for name, one in named.items()})
    return layer


def parts_of(layer: Layer) -> list[Part]:
    """Copies of a layer's weights. Raises ``UsageError`` for anything but an RNN, LSTM or GRU of ours."""
    if not isinstance(layer, (RNN, LSTM, GRU)):
        kind = type(layer)
        raise UsageError(f"layer: got {kind.__module__}.{kind.__name__}, wanted an RNN, LSTM or GRU of seriatim.nn")
    parts = []
    for number in range(layer.num_layers):
        weights = tuple(
            arrays(gather(layer, weight_names(layer.spec, f"_l{number}{direction}")))
            for direction in ("", "_reverse")[: 2 if layer.bidirectional else 1]
        )
        parts.append(Part(dataclasses.replace(layer.spec, input_size=weights[0].w_ih.shape[1]), weights))
    return parts


def refuse(module: Any, where: str, able: Sequence[str] = (), inference: bool = False) -> None:
    """Raise ``UsageError`` if a layer or a cell has a variant that ``where`` lacks, ``able`` being what it has.

    With ``inference`` what acts in training alone is left out without a word.
    """
    for name in VARIANTS:
        value = getattr(module, name, DEFAULTS[name])
        if name in able or value == DEFAULTS[name] or value == (0.0, 0.0) or (inference and name in TRAINING):
            continue
        hint = "; inference=True leaves it out, as it acts in training alone" if name in TRAINING else ""
        raise UsageError(f"layer: {name}={value} has no place in {where}{hint}")


VARIANTS = (
    "proj_size", "peephole", "reset_after", "layer_norm", "clip", "zoneout", "dropout", "locked_dropout",
    "recurrent_dropout",
)  # fmt: skip
"""What not every framework has."""
TRAINING = ("dropout", "locked_dropout", "recurrent_dropout")
"""What changes nothing once trained."""


def array(name: str, value: object, *shape: int) -> Array:
    """``value`` as an array of exactly this shape, of float32 or float64. Raises ``UsageError`` by ``name``."""
    found = np.asarray(value)
    if found.dtype not in (np.float32, np.float64):
        raise UsageError(f"{name}: got {found.dtype}, wanted float32 or float64")
    if found.shape != shape:
        raise UsageError(f"{name}: got shape {list(found.shape)}, wanted {list(shape)}")
    return found


def extent(name: str, value: object) -> tuple[int, ...]:
    """The shape of an array that has to have one. Raises ``UsageError`` by ``name`` for a single number."""
    shape: tuple[int, ...] = np.asarray(value).shape
    if not shape:
        raise UsageError(f"{name}: got a single number, wanted an array")
    return shape


def joined_bias(weights: Weights[Array]) -> Array | None:
    """b_ih + b_hh, for a framework that has one bias; None without biases."""
    return None if weights.b_ih is None or weights.b_hh is None else weights.b_ih + weights.b_hh


def listed(theirs: object) -> list[Any]:
    """One layer or a list of them, as a list. Raises ``UsageError`` for an empty one."""
    found = list(theirs) if isinstance(theirs, (list, tuple)) else [theirs]
    if not found:
        raise UsageError("layers: got none, wanted at least one")
    return found


def _agree(number: int, name: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise UsageError(f"layers: layer {number} of the stack has {name} {found}, wanted {wanted} after the first")


def arrays(weights: Weights[torch.Tensor]) -> Weights[Array]:
    """Copies on the CPU. Raises ``UsageError`` for a dtype that NumPy lacks."""
    found = []
    for one in weights.present():
        if one.dtype not in (torch.float32, torch.float64):
            raise UsageError(f"layer: got {str(one.dtype).removeprefix('torch.')}, wanted float32 or float64")
        found.append(one.detach().cpu().numpy().copy())
    remaining = iter(found)
    return Weights(*[None if one is None else next(remaining) for one in weights.as_list()])
