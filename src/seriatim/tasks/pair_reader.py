"""Pairs of texts as arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seriatim.data.pairs import Pairs
from seriatim.encoding.punctuation import apart, together
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.models.seq2seq import PairBatch, padded_pairs
from seriatim.tasks.options import TranslateOptions

Array = np.ndarray[Any, Any]

DEFAULT_WORDS = 20_000


@dataclass(frozen=True)
class PairReader:
    """Turns texts into arrays and back: a vocabulary for what is read, another for what is written.

    With ``--unit word`` words and punctuation are told apart, and joined again when they are written. The decoder's
    boundary is the id behind the target's vocabulary.
    """

    source: Vocabulary
    target: Vocabulary
    longest: int
    """Units of the longest target of the training part, its end counted."""
    lowercase: bool
    reverse: bool

    @classmethod
    def fit(cls, options: TranslateOptions, train: Pairs) -> PairReader:
        """Learn both vocabularies from the training part."""
        size = options.vocab_size or (DEFAULT_WORDS if options.unit == "word" else None)
        source, target = (
            Vocabulary.fit(
                [_plain(text, options.unit, options.lowercase) for text in texts], options.unit, size, lines=False
            )
            for texts in (train.sources, train.targets)
        )
        reader = cls(source, target, 0, options.lowercase, options.reverse)
        longest = max(len(units) for units in reader.aim(train.targets))
        return cls(source, target, longest, options.lowercase, options.reverse)

    def read(self, texts: Sequence[str]) -> list[Array]:
        """Encode sources, ``[S]`` int32 each, S at least 1; from the end with ``reverse``."""
        step = -1 if self.reverse else 1
        encoded = (self.source.encode(_plain(text, self.source.unit, self.lowercase)) for text in texts)
        return [(one if len(one) else np.zeros(1, np.int32))[::step].copy() for one in encoded]

    def aim(self, texts: Sequence[str]) -> list[Array]:
        """Encode targets, ``[T]`` int32 each, the boundary behind them."""
        end = np.array([len(self.target)], np.int32)
        encoded = (self.target.encode(_plain(text, self.target.unit, self.lowercase)) for text in texts)
        return [np.concatenate([one, end]) for one in encoded]

    def text(self, units: Sequence[int]) -> str:
        """Decode what was written."""
        text = self.target.decode(units)
        return together(text) if self.target.unit == "word" else text

    def folded(self, texts: Sequence[str]) -> list[str]:
        """Return the texts in the case that is written."""
        return [text.lower() for text in texts] if self.lowercase else list(texts)

    def examples(self, pairs: Pairs) -> Examples:
        """Encode pairs with their targets."""
        return Examples(pairs, self.read(pairs.sources), self.aim(pairs.targets), self.folded(pairs.targets))

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source.to_json(),
            "target": self.target.to_json(),
            "longest": self.longest,
            "lowercase": self.lowercase,
            "reverse": self.reverse,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> PairReader:
        """Rebuild a reader. Raises ``ValueError``, ``KeyError`` or ``TypeError`` when ``stored`` is damaged."""
        source, target = (Vocabulary.from_json(stored[side]) for side in ("source", "target"))
        return cls(source, target, int(stored["longest"]), bool(stored["lowercase"]), bool(stored["reverse"]))


@dataclass(frozen=True)
class Examples:
    """Encoded pairs, and their texts."""

    pairs: Pairs
    sources: list[Array]
    targets: list[Array]
    references: list[str]
    """The targets' texts, in the case that is written."""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def lengths(self) -> Array:
        """Units of source and target together, [N]."""
        return np.array([len(one) + len(other) for one, other in zip(self.sources, self.targets, strict=True)])

    def batch(self, indices: Array) -> PairBatch:
        """Pad the pairs at ``indices`` into one batch."""
        return padded_pairs([self.sources[index] for index in indices], [self.targets[index] for index in indices])


@dataclass(frozen=True)
class Epoch(Sequence[PairBatch]):
    """The batches of one pass over examples, each made when it is asked for."""

    examples: Examples
    order: list[Array]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: Any) -> Any:
        return self.examples.batch(self.order[position])


def _plain(text: str, unit: str, lowercase: bool) -> str:
    """Return the text as a vocabulary of ``unit`` reads it."""
    text = text.lower() if lowercase else text
    return apart(text) if unit == "word" else text
