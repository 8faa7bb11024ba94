"""The rows of a batch: how many there are, and a batch of some of them.

In a batch every tensor [T, B, …] has the rows on its second axis, and every tensor [B] on its first. A class names its
exceptions: the fields of ``ROWS_FIRST`` are [B, …], and each part of a batch keeps the fields of ``SHARED`` whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

from torch import Tensor

PartT = TypeVar("PartT")


def row_count(batch: Any) -> int:
    """Return the number of rows, B."""
    return next(_counts(batch))


def take_rows(batch: PartT, start: int, stop: int) -> PartT:
    """Return the batch of the rows from ``start`` to ``stop``.

    >>> from seriatim.models.classifier import SequenceBatch
    >>> import torch
    >>> batch = SequenceBatch(torch.zeros(5, 3), torch.tensor([5, 4, 2]), torch.tensor([0, 1, 0]))
    >>> take_rows(batch, 1, 3).lengths
    tensor([4, 2])
    """
    changed: dict[str, Any] = {}
    for name, value in _parts(batch):
        if isinstance(value, Tensor):
            changed[name] = value.narrow(_axis(batch, name, value), start, stop - start)
        elif dataclasses.is_dataclass(value):
            changed[name] = take_rows(value, start, stop)
    return dataclasses.replace(batch, **changed)  # type: ignore[type-var]


def _counts(batch: Any) -> Iterator[int]:
    """The number of rows of each tensor."""
    for name, value in _parts(batch):
        if isinstance(value, Tensor):
            yield value.shape[_axis(batch, name, value)]
        elif dataclasses.is_dataclass(value):
            yield from _counts(value)


def _parts(batch: Any) -> Iterator[tuple[str, Any]]:
    """The fields that have rows."""
    shared = getattr(batch, "SHARED", ())
    return ((field.name, getattr(batch, field.name)) for field in dataclasses.fields(batch) if field.name not in shared)


def _axis(batch: Any, name: str, tensor: Tensor) -> int:
    return 0 if tensor.ndim == 1 or name in getattr(batch, "ROWS_FIRST", ()) else 1
