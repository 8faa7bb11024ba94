"""A fitted vocabulary, which converts text to ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.units import UNITS, Unit
from seriatim.errors import UsageError, nearest
from seriatim.notation import UNKNOWN


@final
class Vocabulary:
    """Converts text to ids and back, in characters (``char``), white-space words (``word``) or byte pairs (``bpe``).

    Id 0 is ``<unk>`` in every vocabulary.

    >>> vocabulary = Vocabulary.fit(["to be or not to be"], "word", 3)
    >>> vocabulary.tokens
    ['<unk>', 'to', 'be']
    >>> vocabulary.decode(vocabulary.encode("to be or"))
    'to be <unk>'
    """

    unknown = UNKNOWN

    def __init__(self, name: str, unit: Unit) -> None:
        self.unit = name
        self._unit = unit

    @classmethod
    def fit(cls, texts: Iterable[str], unit: str, size: int | None = None, *, lines: bool = True) -> Vocabulary:
        """Learn a vocabulary from ``texts``.

        ``size`` is the maximum number of tokens including ``<unk>``. The most common tokens are kept; of equally common
        ones, those that appear first (``None``: all; 4096 for ``bpe``). With ``lines`` and ``word``, each line end is
        ``<eos>``; otherwise it is white space. Raises ``UsageError`` for an unknown unit or a size that is too small,
        ``MissingExtra`` if the library for ``bpe`` is missing.
        """
        if unit not in UNITS:
            raise UsageError(f"unit: no unit '{unit}'{nearest(unit, UNITS)}")
        return cls(unit, UNITS[unit].fit(texts, size, lines))

    @property
    def tokens(self) -> list[str]:
        """All tokens; the index of a token is its id."""
        return self._unit.tokens

    def __len__(self) -> int:
        return len(self._unit.tokens)

    def encode(self, text: str) -> NDArray[np.int32]:
        """Convert text to ids ``[N]``; an unknown token is 0."""
        return self._unit.encode(text)

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Convert ids to text. Words are separated by spaces and ``<eos>`` is a line end; other units are exact."""
        plain = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        if plain and not 0 <= min(plain) <= max(plain) < len(self):  # generation calls this for each unit
            raise ValueError(f"ids: wanted 0 to {len(self) - 1}, got {min(plain)} to {max(plain)}")
        return self._unit.decode(plain)

    def to_json(self) -> dict[str, Any]:
        """Return the vocabulary as plain JSON values, for ``from_json``."""
        return {"unit": self.unit, **self._unit.to_json()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Vocabulary:
        """Rebuild a vocabulary. Raises ``ValueError`` if ``stored`` is damaged."""
        try:
            unit = stored["unit"]
            if unit not in UNITS:
                raise ValueError(f"no unit {unit!r}")
            return cls(unit, UNITS[unit].from_json(stored))
        except KeyError as error:
            raise ValueError(f"{error} is missing") from None
        except TypeError:
            raise ValueError("not a vocabulary") from None
