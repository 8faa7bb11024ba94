"""Checks of arguments of layers and cells. Each raises ``UsageError`` with one line if the argument does not fit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seriatim.errors import ArgumentError, TensorError


def size(name: str, value: object) -> int:
    """Check for a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{name}: got {value!r}, wanted a whole number of at least 1")
    return value


def flag(name: str, value: object) -> bool:
    """Check for True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{name}: got {value!r}, wanted True or False")
    return value


def probability(name: str, value: object) -> float:
    """Check for a number from 0 to 1."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ArgumentError(f"{name}: got {value!r}, wanted a number from 0 to 1")
    return float(value)


def probabilities(name: str, value: object, states: Sequence[str]) -> tuple[float, ...]:
    """Check for a number from 0 to 1, or a tuple of one for each state; return one for each state."""
    if not isinstance(value, (tuple, list)):
        return (probability(name, value),) * len(states)
    if len(value) != len(states):
        raise ArgumentError(f"{name}: got {len(value)} numbers, wanted one, or one for each of {', '.join(states)}")
    return tuple(probability(name, number) for number in value)


def choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check for None or one of the words in ``known``."""
    if value is not None and value not in choices:
        listed = " or ".join(["None", *(f"'{word}'" for word in choices)])
        raise ArgumentError(f"{name}: got {value!r}, wanted {listed}")


def dimensions(name: str, value: Tensor, axes: dict[int, str]) -> None:
    """Check the number of dimensions. ``wanted`` maps each number that fits to its axes."""
    if value.dim() not in axes:
        forms = " or ".join(axes.values())
        raise TensorError(f"{name}: got {_shape(value)}, wanted {forms}")


def width(value: Tensor, input_size: int) -> None:
    """Check that the last axis of an input has the width ``input_size``."""
    if value.shape[-1] != input_size:
        raise TensorError(f"input: got {_shape(value)}, wanted input_size {input_size} in the last axis")


def same_dtype_and_device(name: str, value: Tensor, weight: Tensor) -> None:
    """Check for the device and dtype of the weights. Under ``torch.autocast`` any dtype fits, as PyTorch converts."""
    if value.device != weight.device:
        raise TensorError(f"{name}: got a tensor on {value.device}, wanted {weight.device}, where the weights are")
    if value.dtype != weight.dtype and not torch.is_autocast_enabled(value.device.type):
        raise TensorError(f"{name}: got {_name(value.dtype)}, wanted {_name(weight.dtype)}, as the weights are")


def states(hx: object, names: Sequence[str]) -> tuple[Tensor, ...] | None:
    """Return the caller's state as a tuple. The caller gives one tensor for one state and a tuple for several."""
    if hx is None:
        return None
    if len(names) == 1:
        if isinstance(hx, Tensor):
            return (hx,)
        expected = f"one tensor {names[0]}"
    else:
        if isinstance(hx, (tuple, list)) and len(hx) == len(names) and all(isinstance(part, Tensor) for part in hx):
            return tuple(hx)
        expected = f"a tuple of tensors ({', '.join(names)})"
    actual = f"{type(hx).__name__} of {len(hx)}" if isinstance(hx, (tuple, list)) else type(hx).__name__
    raise TensorError(f"hx: got {actual}, wanted {expected}")


def rows(value: Tensor, count: int) -> None:
    """Check for a batched state with as many rows as the input."""
    if value.dim() != 3 or value.shape[1] != count:
        raise TensorError(f"hx: got {_shape(value)}, wanted [layers, {count}, size], since the input has {count} rows")


def state(value: Tensor, name: str, shape: tuple[int, ...], weight: Tensor) -> None:
    """Check for a state of exactly this shape, with the device and dtype of the weights."""
    same_dtype_and_device("hx", value, weight)
    if tuple(value.shape) != shape:
        raise TensorError(f"hx: {name} has shape {_shape(value)}, wanted {list(shape)}")


def lengths(value: Tensor | Sequence[int], batch: int, steps: int) -> Tensor:
    """Check for one whole number from 1 to ``steps`` per row, and return int64 [B] on the CPU."""
    try:
        numbers = torch.as_tensor(value, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise TensorError(f"lengths: got {value!r}, wanted whole numbers") from None
    if numbers.numel() and (numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool):
        raise TensorError(f"lengths: got {_name(numbers.dtype)}, wanted whole numbers")
    if tuple(numbers.shape) != (batch,):
        raise TensorError(f"lengths: got shape {_shape(numbers)}, wanted [{batch}], one per row of the batch")
    if batch and not torch.compiler.is_compiling():  # a compiled graph cannot look at values
        if int(numbers.min()) < 1:
            shortest = int(numbers.argmin())
            raise TensorError(f"lengths: got {int(numbers[shortest])} in row {shortest}, wanted at least 1")
        if int(numbers.max()) > steps:
            longest = int(numbers.argmax())
            raise TensorError(f"lengths: got {int(numbers[longest])} in row {longest}, wanted at most {steps} steps")
    return numbers.to(torch.int64)


def mask(name: str, value: Tensor | Sequence[object], shape: tuple[int, ...], axes: str) -> Tensor:
    """Check for booleans of exactly this shape; ``axes`` names its axes in the message."""
    try:
        marks = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise TensorError(f"{name}: got {type(value).__name__}, wanted booleans {axes}") from None
    if marks.dtype != torch.bool and marks.numel():
        raise TensorError(f"{name}: got {_name(marks.dtype)}, wanted bool")
    if tuple(marks.shape) != shape:
        raise TensorError(f"{name}: got shape {_shape(marks)}, wanted {list(shape)}, {axes}")
    return marks.bool()


def _shape(value: Tensor) -> str:
    return str(list(value.shape))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
