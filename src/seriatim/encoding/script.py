"""How the texts of a data set are written: their units, their case, and words apart from punctuation."""

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
    """Texts ↔ units. Words are told apart from punctuation, and joined with it again when they are written."""

    vocabulary: Vocabulary
    lowercase: bool

    @classmethod
    def fit(cls, texts: Iterable[str], unit: str, size: int | None, *, lowercase: bool) -> Script:
        """Learn the vocabulary of ``texts``, which keeps ``size`` units."""
        plain = [_plain(text, unit, lowercase) for text in texts]
        return cls(Vocabulary.fit(plain, unit, size, lines=False), lowercase)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def fold_case(self, text: str) -> str:
        """Return the text in the case that is written."""
        return text.lower() if self.lowercase else text

    def encode(self, text: str) -> Array:
        """Text → units ``[T]`` int32."""
        return self.vocabulary.encode(_plain(text, self.vocabulary.unit, self.lowercase))

    def encode_target(self, text: str) -> Array:
        """Encode a text that is to be written: behind it stands the boundary, the id behind the vocabulary."""
        return np.append(self.encode(text), np.int32(len(self)))

    def decode(self, units: Sequence[int]) -> str:
        """Units → text."""
        text = self.vocabulary.decode(units)
        return rejoin_punctuation(text) if self.vocabulary.unit == "word" else text

    def visible_units(self, units: Iterable[int]) -> list[str]:
        """Each unit by itself, so that it can be seen: a space is ␣."""
        return [self.vocabulary.decode([unit]).strip() or "␣" for unit in units]


def _plain(text: str, unit: str, lowercase: bool) -> str:
    """Return the text as a vocabulary of ``unit`` reads it."""
    text = text.lower() if lowercase else text
    return separate_punctuation(text) if unit == "word" else text
