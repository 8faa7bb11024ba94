"""N-grams of words and their hashes, compared with a plain loop over characters and bytes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from seriatim.encoding import subwords
from seriatim.encoding.subwords import LONGEST, SHORTEST, hashed_grams, words_of

WORDS = ["of", "a", "", "Käse", "좋다", "𝄞x", "internationalisation", "<unk>", "of"]


def fnv(text: str) -> int:
    """The hash of fastText, byte by byte."""
    value = 2_166_136_261
    for byte in text.encode("utf-8", "surrogatepass"):
        value ^= byte | 0xFFFFFF00 if byte >= 0x80 else byte
        value = value * 16_777_619 % 2**32
    return value


def grams(word: str, buckets: int) -> list[int]:
    word = f"<{word}>"
    ends = [(start, start + length) for start in range(len(word)) for length in range(SHORTEST, LONGEST + 1)]
    return [fnv(word[start:end]) % buckets for start, end in ends if end <= len(word)]


def test_plain_loop_is_fnv() -> None:
    """The published values of FNV-1a, which has the same result where all bytes are ASCII."""
    assert (fnv(""), fnv("a"), fnv("foobar")) == (0x811C9DC5, 0xE40C292C, 0xBF9CF968)


@pytest.mark.parametrize("buckets", [1, 7, 100_003, 2**31])
def test_grams_are_those_of_the_plain_loop(buckets: int) -> None:
    result = hashed_grams(WORDS, buckets)
    assert result.counts.tolist() == [len(grams(word, buckets)) for word in WORDS]
    assert result.buckets.tolist() == [bucket for word in WORDS for bucket in grams(word, buckets)]


def test_a_surrogate_is_hashed_too() -> None:
    assert hashed_grams(["\ud800ab"], 1000).buckets.tolist() == grams("\ud800ab", 1000)


def test_words_without_grams() -> None:
    assert hashed_grams([], 5).counts.tolist() == []
    assert hashed_grams([""], 5).counts.tolist() == [0]
    assert words_of(" the  sea\n") == ["the", "sea"] and words_of(" \n") == [""]


def test_grams_of_some_words_are_taken() -> None:
    order = np.array([6, 2, 0, 6, 4])
    part, whole = hashed_grams(WORDS, 1000).take(order), hashed_grams([WORDS[index] for index in order], 1000)
    assert part.counts.tolist() == whole.counts.tolist() and part.buckets.tolist() == whole.buckets.tolist()


def test_many_words_are_hashed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    words = ["".join(draw.choice("abcdé") for _ in range(draw.randint(0, 9))) for _ in range(50)]
    whole = hashed_grams(words, 1000)
    monkeypatch.setattr(subwords, "WORDS_AT_ONCE", 7)
    parts = hashed_grams(words, 1000)
    assert parts.counts.tolist() == whole.counts.tolist() and parts.buckets.tolist() == whole.buckets.tolist()
