"""The tagger without context: the commonest tag of each word (Charniak 1993), or of its ending (Brants 2000)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from seriatim.models.naive.deadline import Deadline, joined, shortened

MAX_LETTERS = 5
"""The longest ending."""
RARE = 3
"""Endings are learned from words that occur at most this often, since unknown words are rare too."""
COUNTING_SHARE = 0.5
"""The share of the time for counting words. The rest is for their endings."""

Array = np.ndarray[Any, Any]


@final
class MostFrequentTag:
    """Gives each word its commonest tag in the training part.

    An unknown word gets the commonest tag of its longest known ending, of up to five letters, among rare words of the
    same shape. The shapes are: with a digit, with a capital first letter, or neither (after Brants 2000).
    """

    def __init__(self, tags: int) -> None:
        self.tags = tags
        self.words: dict[str, int] = {}
        self.endings: dict[str, int] = {}
        """The tag for each shape and ending. The empty key is for words whose shape is unknown."""

    def fit(self, sentences: Sequence[tuple[Sequence[str], Array]], *, seconds: float = 60.0) -> str:
        """Count the tags of the words of (words, tags [T]) pairs: of all, or of the first ones in about ``seconds``.

        Returns the part that the time allowed, in words, or an empty text.
        """
        deadline, counted = Deadline(seconds), 0
        by_word: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for words, tags in sentences:
            for word, tag in zip(words, tags.tolist(), strict=True):
                by_word[word][tag] += 1
            counted += 1
            if deadline.has_passed(COUNTING_SHARE):
                break
        by_ending: defaultdict[str, Counter[int]] = defaultdict(Counter)
        read = 0
        for word, counts in by_word.items():
            by_ending[""].update(counts)
            if counts.total() <= RARE:
                for ending in _endings(word):
                    by_ending[ending].update(counts)
            read += 1
            if deadline.has_passed():
                break
        self.words, self.endings = _commonest(by_word), _commonest(by_ending)
        return joined(
            shortened(counted, len(sentences), "sentences"), shortened(read, len(by_word), "words with their endings")
        )

    def tag(self, words: Sequence[str]) -> Array:
        """Return the tag of each word, [T] int64."""
        return np.array([self._tag(word) for word in words], np.int64)

    def _tag(self, word: str) -> int:
        if word in self.words:
            return self.words[word]
        return next(self.endings[ending] for ending in (*_endings(word), "") if ending in self.endings)

    def state_dict(self) -> dict[str, Array]:
        """Return both tables as arrays: the keys as UTF-8, each after a line end, and their tags."""
        arrays = {}
        for name in ("words", "endings"):
            table = getattr(self, name)
            text = "".join(f"\n{key}" for key in table)
            arrays[name] = np.frombuffer(text.encode(errors="surrogatepass"), np.uint8).copy()
            arrays[f"{name}_tags"] = np.array(list(table.values()), np.int64)
        return arrays

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it is damaged or has other tags."""
        for name in ("words", "endings"):
            keys = state[name].astype(np.uint8).tobytes().decode(errors="surrogatepass").split("\n")[1:]
            tags = state[f"{name}_tags"]
            if tags.shape != (len(keys),) or (len(tags) and not 0 <= int(tags.min()) <= int(tags.max()) < self.tags):
                raise ValueError(f"{name}_tags: wanted {len(keys)} tags below {self.tags}")
            setattr(self, name, dict(zip(keys, tags.tolist(), strict=True)))
        if "" not in self.endings:
            raise ValueError("endings: no last resort")

    @property
    def parameters_count(self) -> int:
        return len(self.words) + len(self.endings)


def _endings(word: str) -> list[str]:
    """Return the shape with each ending, the longest first, and last the shape alone."""
    shape = "0" if any(letter.isdigit() for letter in word) else "A" if word[:1].isupper() else "a"
    return [shape + word[-size:].lower() if size else shape for size in range(min(MAX_LETTERS, len(word)), -1, -1)]


def _commonest(counts: Mapping[str, Counter[int]]) -> dict[str, int]:
    """Return the commonest tag of each key; of equally common ones the lowest."""
    return {key: min(tags, key=lambda tag: (-tags[tag], tag)) for key, tags in counts.items()}
