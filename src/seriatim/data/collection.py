"""What a reader of files gives: things of one kind in the order of their file, which can be split and compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self


class Collection(ABC):
    """Texts, pairs of texts, pictures or tagged sentences, with what is to be said of each where it is known."""

    plural: ClassVar[str]
    """What they are."""
    compared: ClassVar[str]
    """What is alike in duplicates."""
    groups: list[str] | None
    """Those of one group stay on one side of a split."""

    @abstractmethod
    def __len__(self) -> int:
        """Count them."""

    @property
    @abstractmethod
    def keys(self) -> Sequence[Hashable]:
        """A value for each that only duplicates share."""

    @property
    @abstractmethod
    def content(self) -> object:
        """What to hash."""

    @abstractmethod
    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Self:
        """Those at ``indices``, in that order."""

    @final
    def without_duplicates(self) -> tuple[Self, int]:
        """The first of all that are alike, and how many were dropped."""
        first: dict[Hashable, int] = {}
        for index, one in enumerate(self.keys):
            first.setdefault(one, index)
        return self.take(list(first.values())), len(self) - len(first)

    @final
    def count_known(self, known: Collection) -> int:
        """How many of these stand in ``known`` too: duplicates across a cut."""
        there = set(known.keys)
        return sum(one in there for one in self.keys)


def key(one: str | NDArray[np.generic]) -> Hashable:
    """A value that two texts, or two arrays, share when they are equal."""
    return one if isinstance(one, str) else (one.shape, one.tobytes())
