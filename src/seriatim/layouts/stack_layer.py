"""The form between all converters: one layer of a stack as NumPy arrays in Seriatim's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import UsageError
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class StackLayer:
    """One layer of a stack."""

    spec: CellSpec
    weights: tuple[Weights[Array], ...]
    """The weights of the forward direction, then, if there are two directions, of the reverse one."""

    @property
    def kind(self) -> str:
        return self.spec.kind


def array(name: str, value: object, *shape: int) -> Array:
    """Return ``value`` as a float32 or float64 array of exactly this shape. A ``UsageError`` says ``name``."""
    result = np.asarray(value)
    if result.dtype not in (np.float32, np.float64):
        raise UsageError(f"{name}: got {result.dtype}, wanted float32 or float64")
    if result.shape != shape:
        raise UsageError(f"{name}: got shape {list(result.shape)}, wanted {list(shape)}")
    return result


def extent(name: str, value: object) -> tuple[int, ...]:
    """The shape of ``value``. Raises ``UsageError``, which says ``name``, for a single number."""
    shape: tuple[int, ...] = np.asarray(value).shape
    if not shape:
        raise UsageError(f"{name}: got a single number, wanted an array")
    return shape
