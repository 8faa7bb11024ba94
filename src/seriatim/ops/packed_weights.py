"""Weights kept in the engine's own layout between calls, packed again when they have changed.

A packing holds for as long as the weights are the same tensors in the same memory, of the same version, which PyTorch
raises with every change in place, and with the same values: what is done to ``weight.data``, or by way of NumPy,
escapes the version. So every call compares every value, by digests taken at the speed of reading them (``Seen``).

That would cost single steps much of their speed. So a step, of a cell or of a layer that is given just one, that goes
on from the very state that the step before gave compares no more than 4 kB of each weight, others every time. A change
that escapes the version is seen by the next sequence at the latest, and by this one after as many steps as the weight
has 4 kB; ``torch.autograd.graph.increment_version(weight)`` makes it seen at once.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor

from seriatim.kernels import native
from seriatim.ops.buffer_pool import NUMPY
from seriatim.ops.engine import Plan, pack
from seriatim.spec import CellSpec

if TYPE_CHECKING:
    from seriatim.kernels._native import Cell, Packed

_threads = torch.get_num_threads
_version_of = attrgetter("_version")


class Seen:
    """Weights as they are now: the engine's watch over their memory, and what PyTorch says of them."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.versions = list(map(_version_of, weights))
        self.memory = tuple([one.detach() for one in weights])
        """Keeps what is at the addresses, and shares its versions, even if a weight is given other memory."""
        self._seen = native.engine().Fingerprint(weights, _threads())
        self._led_to: Callable[[], Tensor | None] = _nowhere

    def unchanged(self, weights: tuple[Tensor | None, ...], h: Tensor | None = None) -> bool:
        """Whether ``weights`` are as they were. In a step from ``h``, if these led to it, not all is compared."""
        same: bool = self._seen.same(weights, h is None or self._led_to() is not h, _threads())
        return same

    def led_to(self, h: Tensor) -> None:
        """Tell what a step with these weights gave."""
        self._led_to = weakref.ref(h)


def _nowhere() -> None:
    return None


class Held:
    """The weights of one plain cell as they are now, packed. There are two of them, or with biases four."""

    def __init__(self, spec: CellSpec, names: tuple[str, ...], weights: tuple[Tensor, ...]) -> None:
        self.spec = spec
        self.dtype = weights[0].dtype
        self.full = torch.float32 if self.dtype is torch.bfloat16 else self.dtype
        """What the engine computes in."""
        self.plan = Plan(spec, False, False, self.dtype is torch.bfloat16)
        self.cell = self.plan.cell
        self.states = len(spec.states)
        self.keeps_slots = spec.kind != "rnn"  # of a plain RNN, h says it all
        self.absent = [0] * (10 - len(weights))
        """The addresses of the weights that such a cell does not have."""
        self.wide = self.dtype is torch.float64
        self.names = names
        self.weights = weights
        self.seen = Seen(weights)
        self.memory = self.seen.memory
        self.packed = pack(self.cell, [*map(_full, self.memory), *(None for _ in self.absent)], _threads())

    def unchanged(self, h: Tensor | None = None) -> bool:
        """As ``Seen.unchanged``."""
        return self.seen.unchanged(self.weights, h)

    def refuse_changes(self) -> None:
        """Raise as PyTorch does if weights have been changed since."""
        if list(map(_version_of, self.memory)) == self.seen.versions:
            return
        for name, one, version in zip(self.names, self.memory, self.seen.versions, strict=True):
            if one._version != version:
                raise RuntimeError(
                    f"{name}: a variable needed for gradient computation has been modified by an inplace operation: it "
                    f"is at version {one._version}, expected version {version}"
                )


Key: TypeAlias = tuple[Any, ...]


@dataclass
class _Entry:
    weights: list[weakref.ref[Tensor]]
    seen: Seen
    packed: Packed


_entries: dict[Key, _Entry] = {}
"""By the identity of the weights; an entry dies with any of them."""
atexit.register(_entries.clear)  # before the engine's own types go


def packed(
    cell: Cell, weights: Sequence[Tensor | None], threads: int, h: Tensor | None = None
) -> tuple[Packed, Seen | None]:
    """Any weights packed for ``cell``, from the time before if they are as they were; ``h`` is as for ``Seen``.

    None in place of what was seen: they are not kept, since a change could not be noticed.
    """
    key = (cell, threads, *map(id, weights))
    found = _entries.get(key)
    if found is not None and found.seen.unchanged(tuple(weights), h):
        return found.packed, found.seen
    present = [one for one in weights if one is not None]
    seen = Seen(present) if all(map(_traceable, present)) else None
    made = pack(cell, [None if one is None else _full(one) for one in weights], threads)
    if seen is not None:

        def forget(_: object, entries: dict[Key, _Entry] = _entries) -> None:
            entries.pop(key, None)

        _entries[key] = _Entry([weakref.ref(one, forget) for one in present], seen, made)
    return made, seen


def _full(weight: Tensor) -> Tensor:
    return weight if weight.dtype in NUMPY else weight.float()


def _traceable(weight: Tensor) -> bool:
    """Whether a change would be seen: the weight has a version, is this process's own, and stands dense."""
    return not (weight.is_inference() or weight.untyped_storage().is_shared()) and weight.is_contiguous()
