"""Character n-grams of words, hashed into buckets (Bojanowski 2017), so that a word never seen has known parts.

A word is written between the marks ``<`` and ``>``. Its n-grams are all sequences of 3 to 6 of these characters, the
whole word among them if it is short enough. The hash is fastText's: FNV-1a with 32 bits over the bytes of UTF-8, where
each byte is read as a signed number,

    h = 2166136261;  for each byte b:  h = (h xor b) · 16777619 mod 2³²
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SHORTEST: Final = 3
LONGEST: Final = 6
"""The numbers of characters of an n-gram, with the marks."""
BASIS: Final = 2_166_136_261
PRIME: Final = 16_777_619
WORDS_AT_ONCE: Final = 50_000
"""Words that are hashed together; more would need more memory."""


@dataclass(frozen=True)
class Grams:
    """The n-grams of N words, one word after the other."""

    buckets: Array
    """[G] int64: the bucket of each n-gram."""
    counts: Array
    """[N] int64: the number of n-grams of each word."""

    def take(self, words: Array) -> Grams:
        """Return the n-grams of the words with the indices ``words``."""
        counts = self.counts[words]
        ends = np.cumsum(counts)
        starts = (np.cumsum(self.counts) - self.counts)[words]
        places = np.arange(int(counts.sum())) + np.repeat(starts - (ends - counts), counts)
        return Grams(self.buckets[places], counts)


def words_of(text: str) -> list[str]:
    """Return the words of a text as ``Vocabulary`` reads them without line ends. An empty text has one empty word."""
    return text.split() or [""]


def hashed_grams(words: Sequence[str], buckets: int) -> Grams:
    """Return the n-grams of each word as numbers of buckets, from 0 to ``buckets`` - 1.

    >>> hashed_grams(["<unk>", "of"], 1000).counts.tolist()
    [14, 3]
    """
    parts = [
        _hash(words[start : start + WORDS_AT_ONCE], buckets) for start in range(0, max(len(words), 1), WORDS_AT_ONCE)
    ]
    return Grams(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("buckets", "counts")))


def _hash(words: Sequence[str], buckets: int) -> Grams:
    """Hash all n-grams together, one more character at a time, from each character of each word."""
    marked = [f"<{word}>" for word in words]
    ends = np.cumsum([len(word) for word in marked], dtype=np.int64)
    codes = np.frombuffer("".join(marked).encode("utf-32-le", "surrogatepass"), "<u4")
    sizes, content = _utf8(codes)
    word_ends = np.repeat(ends, np.diff(ends, prepend=0))
    places = np.arange(len(codes))
    hashes = np.full(len(codes), BASIS, np.uint32)
    table = np.zeros((len(codes), LONGEST - SHORTEST + 1), np.int64)
    is_gram = np.zeros(table.shape, bool)
    for length in range(1, LONGEST + 1):
        at = np.minimum(places + length - 1, len(codes) - 1)
        for number in range(4):
            mixed = (hashes ^ content[at, number]) * np.uint32(PRIME)
            hashes = np.where(number < sizes[at], mixed, hashes)
        if length >= SHORTEST:
            table[:, length - SHORTEST] = hashes % np.uint32(buckets)
            is_gram[:, length - SHORTEST] = places + length <= word_ends
    counts = np.diff(np.cumsum(is_gram.sum(1))[ends - 1], prepend=0) if len(words) else np.zeros(0, np.int64)
    return Grams(table[is_gram], counts)


def _utf8(codes: Array) -> tuple[Array, Array]:
    """Return the number of bytes of each character, [N], and its bytes [N, 4] as uint32, with their signs extended."""
    codes = codes.astype(np.uint32)
    sizes = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)
    content = np.zeros((len(codes), 4), np.uint32)
    leads = np.array([0, 0, 0xC0, 0xE0, 0xF0], np.uint32)
    for number in range(4):
        shift = (6 * np.maximum(sizes - 1 - number, 0)).astype(np.uint32)
        bits = codes >> shift
        content[:, number] = leads[sizes] | bits if number == 0 else 0x80 | (bits & 0x3F)
    return sizes, np.where(content >= 0x80, content | np.uint32(0xFFFFFF00), content)
