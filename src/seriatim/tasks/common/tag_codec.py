"""The codec of tagged sentences: words, their characters and their tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seriatim.data.tagged import Tagged
from seriatim.encoding.buckets import pad
from seriatim.encoding.labels import Labels
from seriatim.encoding.subwords import Grams, hashed_grams
from seriatim.encoding.units import UNK, Words
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError
from seriatim.models.tagger import NO_TAG, Spellings, TagBatch, TagSizes
from seriatim.notation import UNKNOWN
from seriatim.tasks.common.subwords import subword_batch
from seriatim.tasks.common.unseen import extend_labels
from seriatim.tasks.options import TagOptions

Array = np.ndarray[Any, Any]

LONGEST_SPELLING = 32
"""Characters that are read of a word. Of a longer word, the middle is skipped."""


@dataclass(frozen=True)
class Sentences:
    """Encoded sentences."""

    texts: list[list[str]]
    words: list[Array]
    """[T] int64 each."""
    forms: list[Array]
    """[T] int64 each: the index of each word in ``spellings``."""
    spellings: list[Array]
    """[L] int64: the characters of each different word."""
    tags: list[Array]
    """[T] int64 each; an empty list if there are none. Tags that the training part lacks come after the last index."""
    tag_names: Labels | None = None
    """The names of all ``tags``, including those that the training part lacks."""
    notes: tuple[str, ...] = ()
    """Notes for the user about tags that the training part lacks."""
    grams: Grams | None = None
    """The n-grams of each different word, if the model reads them."""

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def lengths(self) -> Array:
        """The number of words of each sentence, [N]."""
        return np.array([len(words) for words in self.words])

    def take(self, indices: Array) -> Sentences:
        """Return the sentences at ``indices``, with the same different words."""
        texts = [self.texts[index] for index in indices]
        words, forms, tags = ([arrays[index] for index in indices] for arrays in (self.words, self.forms, self.tags))
        return replace(self, texts=texts, words=words, forms=forms, tags=tags)

    def batch(self, indices: Array) -> TagBatch:
        """Pad the sentences at ``indices`` into one batch. Each different word is spelt only once."""
        words, lengths = pad([self.words[index] for index in indices], 0)
        forms, _ = pad([self.forms[index] for index in indices], self.forms[indices[0]][0])
        unique_forms, indices_of_forms = np.unique(forms, return_inverse=True)
        characters, sizes = pad([self.spellings[form] for form in unique_forms], 0)
        tags = pad([self.tags[index] for index in indices], NO_TAG)[0] if self.tags else np.full_like(words, NO_TAG)
        places = _tensor(indices_of_forms.reshape(forms.shape))
        spellings = Spellings(_tensor(characters), _tensor(sizes), places)
        subwords = None if self.grams is None else subword_batch(self.grams.take(unique_forms), places)
        return TagBatch(_tensor(words), spellings, _tensor(lengths), _tensor(tags), subwords)


@dataclass(frozen=True)
class TagCodec:
    """Turns words and tags into arrays, and tags back into names."""

    vocabulary: Vocabulary
    """The vocabulary of words, the most frequent first."""
    characters: Vocabulary
    tags: Labels
    rare: int
    """The first word id that occurs only once in the training part; so do all ids above it."""
    lowercase: bool
    subwords: int = 0
    """The number of buckets of n-grams; 0 if words are read without them. The n-grams are those of folded words."""

    @classmethod
    def fit(cls, options: TagOptions, train: Tagged) -> TagCodec:
        """Learn words, characters and tags from the training part. Raises ``DataError`` if all tags are the same."""
        counts = Counter(_fold_case(word, options.lowercase) for words in train.words for word in words)
        counts.pop(UNK, None)
        frequent = counts.most_common(None if options.vocab_size is None else options.vocab_size - 1)
        # Words(…) and not Vocabulary.fit, because a word may contain white space, such as 1 000 in French.
        vocabulary = Vocabulary("word", Words([UNK, *(word for word, _ in frequent)], lines=False))
        characters = Vocabulary.fit(("".join(words) for words in train.words), "char")
        tags = Labels.fit(tag for tags in train.tags for tag in tags)
        if len(tags) < 2:
            raise DataError(f"column: a single tag '{tags.names[0]}' in the training part, wanted at least 2")
        rare = 1 + sum(count > 1 for _, count in frequent)
        subwords = options.subword_buckets if options.subwords else 0
        return cls(vocabulary, characters, tags, rare, options.lowercase, subwords)

    def encode_tagged(self, tagged: Tagged, place: str) -> Sentences:
        """Encode sentences with their tags. ``place`` names the data in a note about tags that the training part lacks.

        Raises ``DataError`` for such a tag in the training part of an update.
        """
        names = [name for tags in tagged.tags for name in tags]
        locations = [item.location(word) for item in tagged.sentences for word in range(len(item.words))]
        extended, notes = extend_labels(self.tags, names, locations, place, "tag")
        encoded = self.encode(tagged.words, [extended.encode(tags) for tags in tagged.tags])
        return replace(encoded, tag_names=extended, notes=tuple(notes))

    def encode(self, texts: list[list[str]], tags: Sequence[Array] = ()) -> Sentences:
        """Encode sentences, with their encoded ``tags`` if they are known."""
        indices: dict[str, int] = {}
        forms = [np.array([indices.setdefault(word, len(indices)) for word in words], np.int64) for words in texts]
        known = self._ids
        folded = [_fold_case(word, self.lowercase) for word in indices]
        ids = np.array([known.get(word, UNKNOWN) for word in folded], np.int64)
        spellings = [self._spelling(word) for word in indices]
        grams = hashed_grams(folded, self.subwords) if self.subwords else None
        return Sentences(texts, [ids[sentence] for sentence in forms], forms, spellings, list(tags), grams=grams)

    def sizes(self) -> TagSizes:
        """Return the sizes that the model needs."""
        return TagSizes(len(self.vocabulary), len(self.characters), len(self.tags), self.rare, self.subwords)

    def to_json(self) -> dict[str, Any]:
        """Return the codec as JSON values."""
        return {
            "words": self.vocabulary.to_json(),
            "characters": self.characters.to_json(),
            "tags": self.tags.to_json(),
            "rare": self.rare,
            "lowercase": self.lowercase,
            **({"subwords": self.subwords} if self.subwords else {}),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TagCodec:
        """Rebuild a codec. Raises ``ValueError`` or ``KeyError`` if ``stored`` is damaged."""
        vocabulary, characters = (Vocabulary.from_json(stored[name]) for name in ("words", "characters"))
        rare, lowercase, subwords = stored["rare"], stored["lowercase"], stored.get("subwords", 0)
        if not isinstance(rare, int) or not isinstance(lowercase, bool):
            raise ValueError("'rare' is not a whole number, or 'lowercase' not true or false")
        if type(subwords) is not int or subwords < 0:
            raise ValueError(f"'subwords' is {subwords!r:.20}, wanted a whole number from 0")
        return cls(vocabulary, characters, Labels.from_json(stored["tags"]), rare, lowercase, subwords)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.vocabulary.tokens)}

    def _spelling(self, word: str) -> Array:
        half = LONGEST_SPELLING // 2
        read = word if len(word) <= LONGEST_SPELLING else word[:half] + word[-half:]
        return self.characters.encode(read).astype(np.int64)


def _fold_case(word: str, lowercase: bool) -> str:
    """Return the form of ``word`` that the vocabulary contains."""
    return word.lower() if lowercase else word


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(array)
