"""The codec of pairs of texts, for ``translate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from seriatim.data.pairs import Pairs
from seriatim.encoding.script import Script
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.models.seq2seq import PairBatch, Sources, padded_pairs, padded_sources
from seriatim.tasks.common.text_unit import unit_of
from seriatim.tasks.options import TranslateOptions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PairCodec:
    """Turns texts into arrays and back, with one script for the sources and one for the targets."""

    source: Script
    script: Script
    """The script of the targets."""
    longest: int
    """Units of the longest target of the training part, including its end mark."""
    reverse: bool
    """Whether sources are read from the end."""

    @classmethod
    def fit(cls, options: TranslateOptions, train: Pairs) -> PairCodec:
        """Learn both vocabularies from the training part."""
        source, target = (
            Script.fit(texts, unit, options.most_units(unit), lowercase=options.lowercase)
            for texts in (train.sources, train.targets)
            for unit in (unit_of(options, texts),)
        )
        longest = max(len(target.encode_target(text)) for text in train.targets)
        return cls(source, target, longest, options.reverse)

    def encode_inputs(self, texts: Sequence[str]) -> list[Array]:
        """Encode sources, ``[S]`` int32 each, with S at least 1."""
        step = -1 if self.reverse else 1
        encoded = map(self.source.encode, texts)
        return [(units if len(units) else np.zeros(1, np.int32))[::step].copy() for units in encoded]

    def input_batch(self, inputs: Sequence[Array]) -> Sources:
        """Pad encoded sources into one batch."""
        return padded_sources(list(inputs))

    def alignment_row(self, encoded: Array, weights: Array) -> dict[str, Any]:
        """Return the units of a source and the attention weights on each, in the order of the text."""
        order = slice(None, None, -1 if self.reverse else 1)
        return {
            "source": self.source.visible_units(encoded[order].tolist()),
            "weights": [[round(float(weight), 5) for weight in row[: len(encoded)][order]] for row in weights],
        }

    def encode(self, pairs: Pairs) -> EncodedPairs:
        """Encode pairs of sources and targets."""
        targets = [self.script.encode_target(text) for text in pairs.targets]
        references = [[self.script.fold_case(text)] for text in pairs.targets]
        return EncodedPairs(pairs, self.encode_inputs(pairs.sources), targets, references)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source.vocabulary.to_json(),
            "target": self.script.vocabulary.to_json(),
            "longest": self.longest,
            "lowercase": self.script.lowercase,
            "reverse": self.reverse,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> PairCodec:
        """Rebuild a codec. Raises ``ValueError``, ``KeyError`` or ``TypeError`` if ``stored`` is damaged."""
        lowercase = bool(stored["lowercase"])
        source, target = (Script(Vocabulary.from_json(stored[side]), lowercase) for side in ("source", "target"))
        return cls(source, target, int(stored["longest"]), bool(stored["reverse"]))


@dataclass(frozen=True)
class EncodedPairs:
    """Encoded pairs with their texts."""

    pairs: Pairs
    inputs: list[Array]
    targets: list[Array]
    references: list[list[str]]
    """For each pair a list with its target text, in lower case if the codec writes lower case."""
    texts_each: ClassVar[float] = 1.0

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def lengths(self) -> Array:
        """The number of units of each source and target together, [N]."""
        return np.array([len(source) + len(target) for source, target in zip(self.inputs, self.targets, strict=True)])

    @property
    def raw_inputs(self) -> Sequence[str]:
        """The sources as texts."""
        return self.pairs.sources

    def batch(self, indices: Array) -> PairBatch:
        """Pad the pairs at ``indices`` into one batch."""
        return padded_pairs([self.inputs[index] for index in indices], [self.targets[index] for index in indices])
