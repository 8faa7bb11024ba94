"""Sequences of text, sound or numbers in memory, each with a label, a target number, or a target for each step."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.data.collection import Collection, duplicate_key

Steps = NDArray[np.float64]
"""float64, because float32 loses small differences of large numbers; frames of sound are float32 all the same."""
Targets = NDArray[np.float64]

FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Sequences(Collection):
    """Sequences in the order of their file."""

    plural: ClassVar[str] = "sequences"
    compared: ClassVar[str] = "inputs"

    inputs: list[str] | list[Steps]
    """Texts, or arrays ``[T, C]``."""
    labels: list[str] | None
    """One label for each sequence, or ``None`` if the data have no labels."""
    groups: list[str] | None
    locations: list[str]
    """Location of each sequence, for messages: ``sms.tsv line 3``."""
    targets: list[Targets] | None = None
    """For each sequence one number ``[1]``, or one per step ``[T]`` with NaN for steps without a target."""
    names: list[str] | None = None
    """Id of each sequence in the table, if rows are steps."""
    hashes: list[str] | None = None
    """Content hash of each recording."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def channels(self) -> int | None:
        """Number of channels C, or ``None`` for text."""
        first = self.inputs[0]
        return None if isinstance(first, str) else first.shape[1]

    @property
    def texts(self) -> list[str]:
        """The inputs, typed as texts."""
        return cast("list[str]", self.inputs)

    @property
    def arrays(self) -> list[Steps]:
        """The inputs, typed as arrays."""
        return cast("list[Steps]", self.inputs)

    @property
    def keys(self) -> list[Hashable]:
        return list(map(duplicate_key, self.inputs))

    @property
    def content(self) -> object:
        """Content to hash: numbers as float32; recordings as samples, whose frames may differ in the last bit."""
        answers = self.labels if self.targets is None else self.targets
        inputs = self.inputs if self.channels is None else [values.astype(np.float32) for values in self.arrays]
        return (self.hashes or inputs, answers)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Sequences:
        def select(values: list[Any] | None) -> Any:
            return None if values is None else [values[index] for index in indices]

        return Sequences(**{field.name: select(getattr(self, field.name)) for field in fields(self)})
