"""What every layer and cell asks of its arguments, and the line each refusal is told in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seriatim.errors import UsageError


def size(name: str, value: object) -> int:
    """A whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name}: got {value!r}, wanted a whole number of at least 1")
    return value


def flag(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise UsageError(f"{name}: got {value!r}, wanted True or False")
    return value


def probability(name: str, value: object) -> float:
    """A number from 0 to 1."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise UsageError(f"{name}: got {value!r}, wanted a number from 0 to 1")
    return float(value)


def probabilities(name: str, value: object, states: Sequence[str]) -> tuple[float, ...]:
    """A number from 0 to 1 for every state, or a tuple of one for each."""
    if not isinstance(value, (tuple, list)):
        return (probability(name, value),) * len(states)
    if len(value) != len(states):
        raise UsageError(f"{name}: got {len(value)} numbers, wanted one, or one for each of {', '.join(states)}")
    return tuple(probability(name, one) for one in value)


def choice(name: str, value: object, known: Sequence[str]) -> None:
    """None, or one of the words in ``known``."""
    if value is not None and value not in known:
        wanted = " or ".join(["None", *(f"'{word}'" for word in known)])
        raise UsageError(f"{name}: got {value!r}, wanted {wanted}")


def dimensions(name: str, given: Tensor, wanted: dict[int, str]) -> None:
    """One of the numbers of dimensions in ``wanted``, which says what each would mean."""
    if given.dim() not in wanted:
        forms = " or ".join(wanted.values())
        raise UsageError(f"{name}: got {_shape(given)}, wanted {forms}")


def width(given: Tensor, input_size: int) -> None:
    """The last axis of an input is ``input_size`` wide."""
    if given.shape[-1] != input_size:
        raise UsageError(f"input: got {_shape(given)}, wanted input_size {input_size} in the last axis")


def same_dtype_and_device(name: str, given: Tensor, weight: Tensor) -> None:
    """An argument and the weights share device and dtype; under ``torch.autocast`` the dtype is PyTorch's business."""
    if given.device != weight.device:
        raise UsageError(f"{name}: got a tensor on {given.device}, wanted {weight.device}, where the weights are")
    if given.dtype != weight.dtype and not torch.is_autocast_enabled(given.device.type):
        raise UsageError(f"{name}: got {_name(given.dtype)}, wanted {_name(weight.dtype)}, as the weights are")


def states(hx: object, names: Sequence[str]) -> tuple[Tensor, ...] | None:
    """The caller's state as a tuple: it comes as one tensor where the cell carries one, as a tuple otherwise."""
    if hx is None:
        return None
    if len(names) == 1:
        if isinstance(hx, Tensor):
            return (hx,)
        wanted = f"one tensor {names[0]}"
    else:
        if isinstance(hx, (tuple, list)) and len(hx) == len(names) and all(isinstance(one, Tensor) for one in hx):
            return tuple(hx)
        wanted = f"a tuple of tensors ({', '.join(names)})"
    got = f"{type(hx).__name__} of {len(hx)}" if isinstance(hx, (tuple, list)) else type(hx).__name__
    raise UsageError(f"hx: got {got}, wanted {wanted}")


def rows(given: Tensor, wanted: int) -> None:
    """A batched state with as many rows as the input."""
    if given.dim() != 3 or given.shape[1] != wanted:
        raise UsageError(f"hx: got {_shape(given)}, wanted [layers, {wanted}, size], since the input has {wanted} rows")


def state(given: Tensor, name: str, wanted: tuple[int, ...], weight: Tensor) -> None:
    """A state of exactly this shape, of the weights' kind."""
    same_dtype_and_device("hx", given, weight)
    if tuple(given.shape) != wanted:
        raise UsageError(f"hx: {name} has shape {_shape(given)}, wanted {list(wanted)}")


def lengths(given: Tensor | Sequence[int], batch: int, steps: int) -> Tensor:
    """One whole number from 1 to ``steps`` per row → int64 [B] on the CPU."""
    try:
        found = torch.as_tensor(given, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"lengths: got {given!r}, wanted whole numbers") from None
    if found.numel() and (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool):
        raise UsageError(f"lengths: got {_name(found.dtype)}, wanted whole numbers")
    if tuple(found.shape) != (batch,):
        raise UsageError(f"lengths: got shape {_shape(found)}, wanted [{batch}], one per row of the batch")
    if batch and not torch.compiler.is_compiling():  # a compiled graph cannot look at values
        if int(found.min()) < 1:
            shortest = int(found.argmin())
            raise UsageError(f"lengths: got {int(found[shortest])} in row {shortest}, wanted at least 1")
        if int(found.max()) > steps:
            longest = int(found.argmax())
            raise UsageError(f"lengths: got {int(found[longest])} in row {longest}, wanted at most {steps} steps")
    return found.to(torch.int64)


def mask(name: str, given: Tensor | Sequence[object], wanted: tuple[int, ...], axes: str) -> Tensor:
    """Booleans of exactly this shape, whose axes ``axes`` names."""
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"{name}: got {type(given).__name__}, wanted booleans {axes}") from None
    if found.dtype != torch.bool and found.numel():
        raise UsageError(f"{name}: got {_name(found.dtype)}, wanted bool")
    if tuple(found.shape) != wanted:
        raise UsageError(f"{name}: got shape {_shape(found)}, wanted {list(wanted)}, {axes}")
    return found.bool()


def _shape(given: Tensor) -> str:
    return str(list(given.shape))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
