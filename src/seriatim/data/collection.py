"""Base class of what the readers return: examples in the order of their file, which can be split and compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self


class Collection(ABC):
    """Texts, pairs of texts, pictures or tagged sentences, with their labels, targets or captions if known."""

    plural: ClassVar[str]
    """Plural noun for the examples, for messages."""
    compared: ClassVar[str]
    """Plural noun for the part that is equal in duplicates, for messages."""
    groups: list[str] | None
    """Group of each example; a split keeps a group on one side."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @property
    @abstractmethod
    def keys(self) -> Sequence[Hashable]:
        """One value per example; equal values mark duplicates."""

    @property
    @abstractmethod
    def content(self) -> object:
        """Content to hash."""

    @abstractmethod
    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """Select the examples at ``indices``, in that order."""

    @final
    def without_duplicates(self) -> tuple[Self, int]:
        """Keep the first of each set of duplicates; also return the number of dropped examples."""
        first: dict[Hashable, int] = {}
        for index, key in enumerate(self.keys):
            first.setdefault(key, index)
        return self.take(list(first.values())), len(self) - len(first)

    @final
    def count_known(self, known: Collection) -> int:
        """Number of examples that are also in ``known``: duplicates across a split."""
        known_keys = set(known.keys)
        return sum(key in known_keys for key in self.keys)


def duplicate_key(example: str | NDArray[np.generic]) -> Hashable:
    """Return a hashable value; two texts or two arrays have the same one if they are equal."""
    return example if isinstance(example, str) else (example.shape, example.tobytes())
