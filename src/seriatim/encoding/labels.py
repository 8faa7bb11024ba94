"""Converts class labels to indices and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray


def plain_name(name: str) -> str:
    """Return the name that all sources give a value: ``7`` for 7.0, ``true`` for True.

    Runs of earlier versions hold other names, which depend on the source.
    """
    if name in ("True", "TRUE", "False", "FALSE"):
        return name.lower()
    return name[:-2] if re.fullmatch(r"-?(0|[1-9][0-9]*)\.0", name) else name


@final
class Labels:
    """The classes of a task, sorted by number if all are integers, otherwise alphabetically."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises ``ValueError`` unless ``names`` are distinct strings, at least one."""
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise ValueError("the labels are not a list of strings")
        if not names or len(set(names)) != len(names):
            raise ValueError("there is no label" if not names else "a label occurs twice")
        self.names = list(names)
        self._indices = {name: index for index, name in enumerate(self.names)}
        self._plain_indices = {plain_name(name): index for index, name in enumerate(self.names)}

    @classmethod
    def fit(cls, labels: Iterable[str]) -> Labels:
        """Collect the distinct ``labels`` by their plain names, sorted."""
        names = sorted(set(map(plain_name, labels)))
        if all(re.fullmatch(r"[+-]?[0-9]+", name) for name in names):
            names.sort(key=int)
        return cls(names)

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, labels: Sequence[str]) -> NDArray[np.int64]:
        """Convert labels to indices ``[N]``; ``True`` and ``7.0`` are also known as ``true`` and ``7``.

        Raises ``ValueError`` for an unknown label; its ``args`` are the position of the first one and the label.
        """
        indices = np.fromiter(map(self._index, labels), dtype=np.int64, count=len(labels))
        unknown = np.flatnonzero(indices < 0)
        if len(unknown):
            raise ValueError(int(unknown[0]), labels[unknown[0]])
        return indices

    def extended(self, labels: Iterable[str]) -> Labels:
        """Return these labels with the unknown ones of ``labels`` added at the end, by their plain names."""
        return Labels([*self.names, *dict.fromkeys(plain_name(label) for label in labels if label not in self)])

    def __contains__(self, label: str) -> bool:
        return self._index(label) >= 0

    def _index(self, label: str) -> int:
        index = self._indices.get(label)
        return self._plain_indices.get(plain_name(label), -1) if index is None else index

    def decode(self, indices: Iterable[int]) -> list[str]:
        """Convert indices to labels."""
        return [self.names[index] for index in indices]

    def to_json(self) -> dict[str, Any]:
        """Return the labels as plain JSON values."""
        return {"labels": self.names}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Labels:
        """Rebuild the labels. Raises ``ValueError`` if ``stored`` is damaged."""
        try:
            return cls(stored["labels"])
        except KeyError as error:
            raise ValueError(f"{error} is missing") from None
        except TypeError:
            raise ValueError("not a list of labels") from None
