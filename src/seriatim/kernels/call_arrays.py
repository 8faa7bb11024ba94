"""The check of the arrays of an engine call, for NumPy arrays and tensors.

The engine reads memory by address, so nothing after this check can notice an array of the wrong shape or dtype. Every
call checks its arrays here, except the quick calls of ``ops``, which have checked the same facts in another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

from seriatim.errors import UsageError
from seriatim.notation import PEEPHOLES
from seriatim.spec import CellSpec

Shape: TypeAlias = tuple[int, ...]
Zoneout: TypeAlias = tuple[int, int, int, bool]
"""Address, strides from step to step and from row to row in elements, and whether the values are booleans."""
Masks: TypeAlias = tuple[int, int, int, Zoneout, Zoneout]
"""The addresses of lengths, reset and dropout, and zoneout of h and c."""
NO_ZONEOUT: Final[Zoneout] = (0, 0, 0, False)


def call_shapes(spec: CellSpec, steps: int, rows: int, inputs: int, slots: int) -> dict[str, Shape]:
    """The shapes of the arrays of a call by name. Gradients have the shape of the array without ``grad_``."""
    h, c = (rows, spec.output_size), (rows, (len(spec.states) - 1) * spec.hidden_size)
    return {
        "x": (steps, rows, inputs), "h": h, "c": c, "lengths": (rows,), "reset": (steps, rows), "dropout": h,
        "output": (steps, *h), "h_n": h, "c_n": c, "slots": (steps, rows, slots, spec.hidden_size),
        "cells": (steps, *c), "zoneout_h": (steps, *h), "zoneout_c": (steps, *c),
    }  # fmt: skip


@lru_cache(maxsize=256)
def _weight_shapes(spec: CellSpec) -> dict[str, Shape]:
    """The shapes of weights by name, in the order of ``Weights.fused``."""
    rows, hidden = len(spec.gates) * spec.hidden_size, spec.hidden_size
    shapes: dict[str, Shape] = {
        "w_ih": (rows, spec.input_size), "w_hh": (rows, spec.output_size), "b_ih": (rows,), "b_hh": (rows,),
        "w_hr": (spec.output_size, hidden), "w_ch": (len(PEEPHOLES.get(spec.kind, ())), hidden), "g_ih": (rows,),
        "g_hh": (rows,), "g_c": (hidden,), "b_c": (hidden,),
    }  # fmt: skip
    return {f"weights.{name}": shape for name, shape in shapes.items()}


def weight_addresses(spec: CellSpec, weights: Sequence[Any]) -> tuple[bool, list[int]]:
    """The engine's arguments for weights in the order of ``Weights.fused``: whether they are float64, and addresses.

    None at the end may be left out. Raises ``UsageError`` for a weight whose shape or dtype does not fit the cell.
    """
    shapes = _weight_shapes(spec)
    w_hh = weights[1] if len(weights) > 1 else None
    if w_hh is None:
        raise UsageError("weights.w_hh: got None, wanted an array")
    dtype, name = w_hh.dtype, _name(w_hh)
    fits = name in ("float32", "float64") and all(
        [
            weight is None or (weight.shape == shape and weight.dtype == dtype and _is_contiguous(weight))
            for weight, shape in zip(weights, shapes.values(), strict=False)
        ]
    )
    if not fits:  # a training step comes here after each update: only a weight that does not fit pays for its error
        check_call(shapes, {"weights.w_hh": w_hh} | dict(zip(shapes, weights, strict=False)))
    return name == "float64", [address(weight) for weight in weights] + [0] * (len(shapes) - len(weights))


def check_call(
    shapes: Mapping[str, Shape],
    arrays: Mapping[str, Any],
    strided: Iterable[str] = (),
    repeating: Iterable[str] = ("zoneout_h", "zoneout_c"),
) -> None:
    """Raise ``UsageError`` unless every array has its shape, the dtype of the first, and contiguous memory.

    None is skipped. Arrays named in ``strided`` need only a dense last axis. Those named in ``repeating`` need no more,
    and may have one step or one row for all. ``lengths`` is int64, ``reset`` is boolean, and zoneout may be boolean.
    """
    first = next(iter(arrays))
    dtype = _name(arrays[first])
    if dtype not in ("float32", "float64"):
        raise UsageError(f"{first}: got {dtype}, wanted float32 or float64")
    for name, array in arrays.items():
        if array is None:
            continue
        shape, actual = shapes[name.removeprefix("grad_")], tuple(array.shape)
        dtypes: tuple[str, ...] = {"lengths": ("int64",), "reset": ("bool",)}.get(name, (dtype,))
        if name.startswith("zoneout"):
            dtypes = (dtype, "bool")
        if name in repeating:
            shape = tuple(1 if size == 1 else full for size, full in zip(actual[:2], shape, strict=False)) + shape[2:]
        if actual != shape or _name(array) not in dtypes:
            raise UsageError(
                f"{name}: got {list(actual)} of {_name(array)}, wanted {list(shape)} of {' or '.join(dtypes)}"
            )
        if 0 not in actual and not (
            _has_dense_rows(array) if name in strided or name in repeating else _is_contiguous(array)
        ):
            raise UsageError(f"{name}: got strides, wanted contiguous memory")


def masks(lengths: Any, reset: Any, dropout: Any, zoneout: Iterable[Any]) -> Masks:
    """The engine's argument for the masks of a walk: addresses, 0 for None, and the strides of zoneout."""
    zoneout_h, zoneout_c = (*map(_zoneout, zoneout), NO_ZONEOUT, NO_ZONEOUT)[:2]
    return address(lengths), address(reset), address(dropout), zoneout_h, zoneout_c


def address(array: Any) -> int:
    """The address of an array's or tensor's memory, 0 for None."""
    if array is None:
        return 0
    location: int = array.data_ptr() if hasattr(array, "data_ptr") else array.__array_interface__["data"][0]
    return location


def row_strides(array: Any) -> tuple[int, int]:
    """The strides of [T, B, ·] from step to step and from row to row, in elements."""
    if hasattr(array, "data_ptr"):
        return array.stride(0), array.stride(1)
    return array.strides[0] // array.itemsize, array.strides[1] // array.itemsize


def _zoneout(array: Any) -> Zoneout:
    if array is None:
        return NO_ZONEOUT
    by_step, by_row = row_strides(array)
    steps, rows = array.shape[:2]
    return address(array), by_step if steps > 1 else 0, by_row if rows > 1 else 0, _name(array) == "bool"


def _name(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.")


def _is_contiguous(array: Any) -> bool:
    contiguous: bool = array.is_contiguous() if hasattr(array, "data_ptr") else array.flags.c_contiguous
    return contiguous


def _has_dense_rows(array: Any) -> bool:
    if hasattr(array, "data_ptr"):
        return array.shape[-1] < 2 or bool(array.stride(-1) == 1)
    is_dense = array.shape[-1] < 2 or array.strides[-1] == array.itemsize
    return is_dense and not any(stride % array.itemsize for stride in array.strides)
