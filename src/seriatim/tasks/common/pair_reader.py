"""Pairs of texts as arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seriatim.data.pairs import Pairs
from seriatim.encoding.script import Script
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.models.seq2seq import PairBatch, Sources, padded_pairs, padded_sources
from seriatim.tasks.options import TranslateOptions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PairReader:
    """Turns texts into arrays and back: one script for what is read, another for what is written."""

    source: Script
    script: Script
    """Of the targets."""
    longest: int
    """Units of the longest target of the training part, its end counted."""
    reverse: bool

    @classmethod
    def fit(cls, options: TranslateOptions, train: Pairs) -> PairReader:
        """Learn both vocabularies from the training part."""
        source, target = (
            Script.fit(texts, options.unit, options.most_units, lowercase=options.lowercase)
            for texts in (train.sources, train.targets)
        )
        longest = max(len(target.encode_target(text)) for text in train.targets)
        return cls(source, target, longest, options.reverse)

    def read(self, texts: Sequence[str]) -> list[Array]:
        """Encode sources, ``[S]`` int32 each, S at least 1; from the end with ``reverse``."""
        step = -1 if self.reverse else 1
        encoded = map(self.source.encode, texts)
        return [(one if len(one) else np.zeros(1, np.int32))[::step].copy() for one in encoded]

    def shown(self, inputs: Sequence[Array]) -> Sources:
        """Pad encoded sources into one batch."""
        return padded_sources(list(inputs))

    def looked(self, given: Array, weights: Array) -> dict[str, Any]:
        """Return the source's units and the weights of each, in the order of the text."""
        order = slice(None, None, -1 if self.reverse else 1)
        return {
            "source": self.source.visible_units(given[order].tolist()),
            "weights": [[round(float(weight), 5) for weight in row[: len(given)][order]] for row in weights],
        }

    def examples(self, pairs: Pairs) -> Examples:
        """Encode pairs with their targets."""
        targets = [self.script.encode_target(text) for text in pairs.targets]
        return Examples(
            pairs, self.read(pairs.sources), targets, [[self.script.fold_case(one)] for one in pairs.targets]
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source.vocabulary.to_json(),
            "target": self.script.vocabulary.to_json(),
            "longest": self.longest,
            "lowercase": self.script.lowercase,
            "reverse": self.reverse,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> PairReader:
        """Rebuild a reader. Raises ``ValueError``, ``KeyError`` or ``TypeError`` when ``stored`` is damaged."""
        lowercase = bool(stored["lowercase"])
        source, target = (Script(Vocabulary.from_json(stored[side]), lowercase) for side in ("source", "target"))
        return cls(source, target, int(stored["longest"]), bool(stored["reverse"]))


@dataclass(frozen=True)
class Examples:
    """Encoded pairs, and their texts."""

    pairs: Pairs
    inputs: list[Array]
    targets: list[Array]
    references: list[list[str]]
    """The one text of each target, in the case that is written."""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> Array:
        """Units of source and target together, [N]."""
        return np.array([len(one) + len(other) for one, other in zip(self.inputs, self.targets, strict=True)])

    def batch(self, indices: Array) -> PairBatch:
        """Pad the pairs at ``indices`` into one batch."""
        return padded_pairs([self.inputs[index] for index in indices], [self.targets[index] for index in indices])
