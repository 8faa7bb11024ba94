"""Packed weights: copies of weights in the engine's layout, reused by later calls until the weights change.

A packing is current while the weights are the same tensors, in the same memory, of the same version, and with the same
values. PyTorch raises the version with each change in place, but not when ``weight.data`` or a NumPy view is changed.
So each call also checks a hash of all weights, at the speed of reading them (``Fingerprint``).

This would slow down single steps. A single step of a cell or layer that continues from the previous step's state
therefore checks only 4 kB of each weight, a different part each time. A change that does not raise the version is seen
by the next sequence at the latest, and by the running sequence after as many steps as the weight has parts of 4 kB.
``torch.autograd.graph.increment_version(weight)`` makes it visible at once.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from seriatim.errors import UsageError
from seriatim.kernels import native
from seriatim.kernels.call_arrays import weight_addresses
from seriatim.ops.arguments import FULL, WEIGHTS, Flat, Plan, dense
from seriatim.ops.eager import EXACT_TYPES, is_dense_cpu
from seriatim.spec import CellSpec

if TYPE_CHECKING:
    from seriatim.kernels._native import Cell, Packed

Parameters: TypeAlias = Mapping[str, "Tensor | None"]

_threads = torch.get_num_threads
_version_of = attrgetter("_version")


class Fingerprint:
    """Identity, version and hash of weights at one moment. None in place of a weight is ignored."""

    def __init__(self, weights: Flat) -> None:
        present = [weight for weight in weights if weight is not None]
        self.memory = tuple([weight.detach() for weight in present])
        """Aliases of the weights. They keep the memory alive, and share the versions, if a weight gets other memory."""
        self.versions = list(map(_version_of, present))
        try:
            self._fingerprint = native.engine().Fingerprint(present, _threads())
        except ValueError as error:
            raise UsageError(str(error)) from error
        self._last_state: Callable[[], Tensor | None] = _no_state

    def is_current(self, weights: tuple[Tensor | None, ...], h: Tensor | None = None) -> bool:
        """Whether ``weights`` have not changed. ``h`` is the state that a single step starts from.

        If ``h`` is the state of the last step with these weights, only a part of each weight is compared.
        """
        is_equal: bool = self._fingerprint.same(weights, h is None or self._last_state() is not h, _threads())
        return is_equal

    def remember_state(self, h: Tensor) -> None:
        """Note the state that a call with these weights returned."""
        self._last_state = weakref.ref(h)


def _no_state() -> None:
    return None


class PackedWeights:
    """The weights of one layer and direction in the engine's layout. Does not keep the weights themselves alive.

    ``weights`` are in the order of ``WEIGHTS``, without None at the end.
    """

    def __init__(self, plan: Plan, cell: Cell, weights: Flat, fingerprint: Fingerprint | None = None) -> None:
        self.packed = pack(plan.spec, cell, weights)
        self.plan = plan
        self.cell = cell
        self.fingerprint = fingerprint
        """None if a change of the weights could not be noticed."""
        self.weight_count = len(weights)
        self.absent = [0] * (len(WEIGHTS) - len(weights))
        """The addresses of the weights that are left out at the end."""
        self.is_float64 = weights[1] is not None and weights[1].dtype is torch.float64
        self.dtype = torch.float64 if self.is_float64 else torch.float32
        """The dtype that the engine computes in."""

    def is_current(self, weights: tuple[Tensor | None, ...], h: Tensor | None = None) -> bool:
        """As ``Fingerprint.is_current``; False without a fingerprint."""
        return self.fingerprint is not None and self.fingerprint.is_current(weights, h)


def pack(spec: CellSpec, cell: Cell, weights: Flat) -> Packed:
    """Copy the weights into the engine's layout, in float32 if they are bfloat16.

    Raises ``UsageError`` if a weight does not fit the cell.
    """
    for weight in weights:
        if weight is not None and (type(weight) not in EXACT_TYPES or not weight.is_cpu):
            name = WEIGHTS[next(index for index, other in enumerate(weights) if other is weight)]
            raise UsageError(f"{name}: got a {type(weight).__name__} on {weight.device}, wanted a Tensor on cpu")
    try:
        arrays = [
            None if weight is None else dense(weight if weight.dtype in FULL else _in_full(weight))
            for weight in weights
        ]
        packed: Packed = native.engine().Packed(cell, *weight_addresses(spec, arrays), _threads())
        return packed
    except ValueError as error:
        raise UsageError(str(error)) from error


def _in_full(weight: Tensor) -> Tensor:
    return weight.detach().float()


@dataclass
class _Entry:
    references: list[weakref.ref[Tensor]]
    packed: PackedWeights | None


_cache: dict[tuple[Any, ...], _Entry] = {}
"""Packed weights by cell and identity of the weights. An entry is removed when one of its weights is deleted."""
atexit.register(_cache.clear)  # before the engine's own types are deleted


def packed_weights(plan: Plan, weights: Flat, h: Tensor | None = None) -> PackedWeights:
    """The current packing of ``weights``: from the cache if they have not changed.

    ``h`` is as for ``Fingerprint.is_current``.
    """
    cell = plan.cell
    key = (cell, *map(id, weights))
    entry = _cache.get(key)
    packed = None if entry is None else entry.packed
    if packed is not None and packed.is_current(tuple(weights), h):
        return packed
    packed = None
    if all(map(_is_trackable, [weight for weight in weights if weight is not None])):
        return pack_and_cache(plan, weights)
    _cache.pop(key, None)
    return PackedWeights(plan, cell, weights)


def pack_and_cache(plan: Plan, weights: Flat) -> PackedWeights:
    """Pack weights whose changes can be noticed (``packable``), and keep the packing."""
    cell = plan.cell
    key = (cell, *map(id, weights))
    entry = _cache.get(key)
    if entry is not None:
        entry.packed = None  # its memory is free for the new packing, and is in the processor's cache
        entry.packed = packed = PackedWeights(plan, cell, weights, Fingerprint(weights))
        return packed

    def forget(_: object, cache: dict[tuple[Any, ...], _Entry] = _cache) -> None:
        cache.pop(key, None)

    packed = PackedWeights(plan, cell, weights, Fingerprint(weights))
    _cache[key] = _Entry([weakref.ref(weight, forget) for weight in weights if weight is not None], packed)
    return packed


def _is_trackable(weight: Tensor) -> bool:
    """Whether a change would be noticed: the weight has a version, is not shared with a process, and is contiguous."""
    return not (weight.is_inference() or weight.untyped_storage().is_shared()) and weight.is_contiguous()


def packable(
    parameters: Parameters, names: tuple[str, ...], dtypes: tuple[torch.dtype, ...] = FULL
) -> tuple[Tensor, ...] | None:
    """The parameters w_ih, w_hh and maybe b_ih and b_hh, by their ``names``.

    Returns None if a parameter is missing, if its changes would not be noticed, or if the engine is not there.
    """
    weights = tuple([weight for weight in map(parameters.get, names) if weight is not None])
    if len(weights) != len(names) or weights[0].dtype not in dtypes or not native.ready():
        return None
    dtype = weights[0].dtype
    for weight in weights:
        if not is_dense_cpu(weight, dtype) or weight.is_inference() or weight.untyped_storage().is_shared():
            return None
    return weights
