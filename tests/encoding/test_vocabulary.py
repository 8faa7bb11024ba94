"""Tests of vocabularies: laws for all units, then properties of each unit."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seriatim.encoding import units
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import MissingExtra, UsageError

TEXTS = ["the cat sat on the mat\nthe cat ran\n", "너 the 좋다 🙂 cat\n"]
UNITS = ("char", "word", "bpe")


def fitted(unit: str) -> Vocabulary:
    return Vocabulary.fit(TEXTS, unit, 300 if unit == "bpe" else None)


@pytest.mark.parametrize("unit", UNITS)
def test_text_round_trip(unit: str) -> None:
    vocabulary = fitted(unit)
    for text in TEXTS:
        ids = vocabulary.encode(text)
        assert ids.dtype == np.int32 and ids.ndim == 1
        assert vocabulary.decode(ids) == text


@pytest.mark.parametrize("unit", UNITS)
def test_json_round_trip_and_deterministic_fit(unit: str) -> None:
    vocabulary = fitted(unit)
    stored = json.dumps(vocabulary.to_json())
    again = Vocabulary.from_json(json.loads(stored))
    assert again.tokens == vocabulary.tokens and len(again) == len(vocabulary)
    assert again.encode("the dog\n").tolist() == vocabulary.encode("the dog\n").tolist()
    assert json.dumps(fitted(unit).to_json()) == stored


@pytest.mark.parametrize("unit", UNITS)
def test_unknown_is_zero(unit: str) -> None:
    vocabulary = fitted(unit)
    assert vocabulary.unknown == 0 and vocabulary.tokens[0] == "<unk>"
    assert vocabulary.encode("").shape == (0,)


@pytest.mark.parametrize("unit", UNITS)
def test_ids_out_of_range_are_refused(unit: str) -> None:
    vocabulary = fitted(unit)
    for wrong in (-1, len(vocabulary)):
        with pytest.raises(ValueError, match="ids"):
            vocabulary.decode([0, wrong])


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_characters_round_trip(text: str) -> None:
    vocabulary = Vocabulary.fit([text], "char")
    assert vocabulary.decode(vocabulary.encode(text)) == text


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_byte_pairs_round_trip_any_text(text: str) -> None:
    vocabulary = BPE
    assert vocabulary.decode(vocabulary.encode(text)) == text


BPE = Vocabulary.fit(TEXTS, "bpe", 300)


def test_characters_beyond_vocabulary_are_unknown() -> None:
    vocabulary = Vocabulary.fit(["aab"], "char")
    assert vocabulary.tokens == ["<unk>", "a", "b"]
    assert vocabulary.encode("ab\x00cz🙂").tolist() == [1, 2, 0, 0, 0, 0]


@pytest.mark.parametrize("unit", ["char", "word"])
def test_most_common_tokens_are_kept_and_ties_go_to_first(unit: str) -> None:
    vocabulary = Vocabulary.fit(["d c c b a b"] if unit == "word" else ["dccbab"], unit, 4)
    assert vocabulary.tokens == ["<unk>", "c", "b", "d"]


def test_words_and_line_ends() -> None:
    vocabulary = Vocabulary.fit(["b a\n\na"], "word")
    assert vocabulary.tokens == ["<unk>", "a", "<eos>", "b"]
    assert vocabulary.encode("a\n\nb <unk> z\n").tolist() == [1, 2, 2, 3, 0, 0, 2]
    assert vocabulary.decode([1, 2, 2, 3, 0, 2]) == "a\n\nb <unk>\n"


def test_words_without_line_ends() -> None:
    vocabulary = Vocabulary.fit(["b a\n<unk> a"], "word", lines=False)
    assert vocabulary.tokens == ["<unk>", "a", "b"]
    assert vocabulary.decode(vocabulary.encode("a\nb")) == "a b"
    assert Vocabulary.from_json(vocabulary.to_json()).encode("a\nb").tolist() == [1, 2]


def test_long_text_has_byte_pairs_of_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the cat  sat\n\n on the mat\nthe 고양이 ran\n" * 20
    whole = BPE.encode(text).tolist()
    monkeypatch.setattr(units.BytePairs, "PIECE", 16)
    assert len(list(units._pieces(text, 16))) > 5
    assert BPE.encode(text).tolist() == whole


def test_byte_pairs_need_size_257() -> None:
    with pytest.raises(UsageError, match="vocab_size: got 100, wanted at least 257"):
        Vocabulary.fit(TEXTS, "bpe", 100)


def test_byte_pairs_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"seriatim\[bpe\]"):
        Vocabulary.fit(TEXTS, "bpe")


def test_unknown_unit() -> None:
    with pytest.raises(UsageError, match="did you mean 'word'"):
        Vocabulary.fit(TEXTS, "words")


@pytest.mark.parametrize(
    "stored",
    [
        {},
        [],
        {"unit": "char"},
        {"unit": ["char"], "tokens": ["<unk>"]},
        {"unit": "roll", "tokens": ["<unk>"]},
        {"unit": "char", "tokens": "ab"},
        {"unit": "char", "tokens": []},
        {"unit": "char", "tokens": ["a", "<unk>"]},
        {"unit": "char", "tokens": ["<unk>", "ab"]},
        {"unit": "char", "tokens": ["<unk>", "a", "a"]},
        {"unit": "char", "tokens": ["<unk>", 5]},
        {"unit": "word", "tokens": ["<unk>"], "lines": 1},
        {"unit": "bpe", "tokenizer": {"model": 5}},
    ],
)
def test_damaged_json_is_refused(stored: object) -> None:
    with pytest.raises(ValueError):
        Vocabulary.from_json(stored)  # type: ignore[arg-type]
