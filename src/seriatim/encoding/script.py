"""Converts the texts of a data set to units and back, with their case and punctuation rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seriatim.encoding.punctuation import rejoin_punctuation, separate_punctuation
from seriatim.encoding.vocabulary import Vocabulary

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Script:
    """Converts texts to units and back. With words as units, punctuation is separated and rejoined in the output."""

    vocabulary: Vocabulary
    lowercase: bool

    @classmethod
    def fit(cls, texts: Iterable[str], unit: str, size: int | None, *, lowercase: bool) -> Script:
        """Learn a vocabulary of at most ``size`` units from ``texts``."""
        plain = [_plain(text, unit, lowercase) for text in texts]
        return cls(Vocabulary.fit(plain, unit, size, lines=False), lowercase)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def fold_case(self, text: str) -> str:
        """Return the text in lower case if the script uses lower case only."""
        return text.lower() if self.lowercase else text

    def encode(self, text: str) -> Array:
        """Convert a text to units ``[T]`` int32."""
        return self.vocabulary.encode(_plain(text, self.vocabulary.unit, self.lowercase))

    def encode_target(self, text: str) -> Array:
        """Encode a target text; it ends with the boundary, whose id is the size of the vocabulary."""
        return np.append(self.encode(text), np.int32(len(self)))

    def decode(self, units: Sequence[int]) -> str:
        """Convert units to text."""
        text = self.vocabulary.decode(units)
        return rejoin_punctuation(text) if self.vocabulary.unit == "word" else text

    def visible_units(self, units: Iterable[int]) -> list[str]:
        """Return each unit as visible text: a space becomes ␣."""
        return [self.vocabulary.decode([unit]).strip() or "␣" for unit in units]


def _plain(text: str, unit: str, lowercase: bool) -> str:
    """Return the text in the form that the vocabulary reads."""
    text = text.lower() if lowercase else text
    return separate_punctuation(text) if unit == "word" else text
