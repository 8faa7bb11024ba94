"""The choice between words, byte pairs and characters."""

from __future__ import annotations

import random

import pytest

from seriatim.encoding import unit_choice
from seriatim.encoding.unit_choice import MIN_CHARACTERS, choose_unit, joined_share, unknown_share


def texts_of(words: list[str], count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=8)) for _ in range(count)]


def inflected(count: int) -> list[str]:
    """Words that are all different, as in a language that joins stems and endings."""
    draw = random.Random(1)
    return ["".join(draw.choices("aeiklmnopst", k=14)) for _ in range(count)]


WORDS = ["the", "cat", "and", "dog", "sat", "ran", "on", "mat", "with", "hat", "in", "old", "red", "sun"]
ENGLISH = texts_of(WORDS, 2000)


def test_known_words_are_units() -> None:
    assert choose_unit(ENGLISH) == ("word", "0 % of the words in one half of the texts are not in the other")


def test_many_unknown_words_are_cut_into_byte_pairs() -> None:
    texts = texts_of(inflected(100_000), 2000)
    assert sum(map(len, texts)) > MIN_CHARACTERS
    unit, reason = choose_unit(texts)
    assert unit == "bpe" and "of the words in one half" in reason


def test_little_text_keeps_words_of_separated_scripts() -> None:
    assert choose_unit(texts_of(inflected(1000), 20))[0] == "word"


@pytest.mark.parametrize(
    "text",
    ["我喜欢吃苹果", "私は学生です", "ฉันชอบกินข้าว", "재미있는 영화였어요", "ខ្ញុំចូលចិត្ត"],
    ids=["zh", "ja", "th", "ko", "km"],
)
def test_joined_scripts_are_read_in_characters_or_byte_pairs(text: str) -> None:
    assert joined_share([text]) > 0.9
    assert choose_unit([text] * 10)[0] == "char"
    assert choose_unit([text] * MIN_CHARACTERS)[0] == "bpe"


def test_some_joined_letters_decide_nothing() -> None:
    assert choose_unit([*ENGLISH, "我喜欢"])[0] == "word"


def test_without_the_library_of_byte_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_choice, "find_spec", lambda name: None)
    assert choose_unit(["我喜欢吃苹果"] * MIN_CHARACTERS)[0] == "char"
    assert choose_unit(texts_of(inflected(100_000), 2000))[0] == "word"


def test_texts_without_letters() -> None:
    assert choose_unit(["", "12 34", ""])[0] == "word"
    assert unknown_share([]) == joined_share([]) == 0.0
