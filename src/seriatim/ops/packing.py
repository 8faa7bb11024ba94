"""Weights in the engine's own layout, packed again when they have changed.

A packing is found by the identity of the weights and holds as long as each has the same memory and the same version,
which PyTorch raises with every change in place. What is done to ``weight.data`` escapes the version, so a few values of
each weight are compared as well.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from numpy.typing import NDArray
from torch import Tensor

from seriatim.ops.engine import pack
from seriatim.ops.lease import NUMPY

if TYPE_CHECKING:
    from seriatim.kernels._native import Cell, Packed

PROBES = 16
"""Values of each weight that are compared."""

Key: TypeAlias = tuple[Any, ...]


@dataclass
class _Entry:
    weights: list[weakref.ref[Tensor]]
    stamps: list[tuple[int, int]]
    probes: list[NDArray[Any]]
    """Views of the weights' memory, which keep it from being used for anything else."""
    seen: list[bytes]
    packed: Packed


_entries: dict[Key, _Entry] = {}
atexit.register(_entries.clear)  # before the engine's own types go


def packed(cell: Cell, weights: Sequence[Tensor | None], threads: int) -> Packed:
    """The weights packed for ``cell``, from the time before if they are as they were."""
    key = (cell, threads, *map(id, weights))
    found = _entries.get(key)
    present = [one for one in weights if one is not None]
    if found is not None and _holds(found, present):
        return found.packed
    made = pack(cell, [None if one is None else _full(one) for one in weights], threads)
    if all(map(_traceable, present)):
        _keep(key, present, made)
    return made


def _full(weight: Tensor) -> Tensor:
    return weight if weight.dtype in NUMPY else weight.float()


def _traceable(weight: Tensor) -> bool:
    """Whether a change would be seen: the weight has a version, is this process's own, and can be probed in place."""
    shared = weight.is_shared()  # type: ignore[no-untyped-call]
    return not (weight.is_inference() or shared) and weight.is_contiguous()


def _holds(entry: _Entry, weights: Sequence[Tensor]) -> bool:
    """Whether these very weights (an entry dies with any of them) are as they were."""
    return (
        entry.stamps == [(one.data_ptr(), one._version) for one in weights]
        and [one.tobytes() for one in entry.probes] == entry.seen
    )


def _keep(key: Key, weights: Sequence[Tensor], made: Packed) -> None:
    def forget(_: object, entries: dict[Key, _Entry] = _entries) -> None:
        entries.pop(key, None)

    probes = [_probe(one) for one in weights]
    _entries[key] = _Entry(
        [weakref.ref(one, forget) for one in weights],
        [(one.data_ptr(), one._version) for one in weights],
        probes,
        [one.tobytes() for one in probes],
        made,
    )


def _probe(weight: Tensor) -> NDArray[Any]:
    values = weight.detach().view(-1)
    if values.dtype not in NUMPY:
        values = values.view(torch.int16)  # NumPy has no bfloat16
    view: NDArray[Any] = values[:: max(1, len(values) // PROBES)].numpy()
    return view
