"""The vectors of texts are those of scikit-learn."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from seriatim.models.naive import text_grams
from seriatim.models.naive.text_grams import WORD, TextGrams

LETTERS = "abc éß İ.,!?\t\n -_1Σ"


def texts(seed, count):
    draw = random.Random(seed)
    return ["".join(draw.choice(LETTERS) for _ in range(draw.randint(0, 40))) for _ in range(count)]


def largest_difference(change=lambda: None):
    train, new = texts(0, 200), [*texts(1, 150), "", "  ", "a", "unseen"]
    grams = TextGrams()
    grams.fit(train)
    change()
    theirs = hstack(
        [
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD).fit(train).transform(new),
            TfidfVectorizer(ngram_range=(1, 5), sublinear_tf=True, analyzer="char_wb").fit(train).transform(new),
        ],
        format="csr",
    ).toarray()
    ours = np.zeros_like(theirs)
    for row, text in enumerate(new):
        columns, values = grams.vector(text)
        ours[row, columns] = values
    return np.abs(ours - theirs).max()


def test_vectors_are_those_of_scikit_learn():
    assert largest_difference() < 1e-12


@pytest.mark.parametrize("name", ["WORDS", "CHARACTERS"])
def test_other_grams_are_noticed(monkeypatch, name):
    assert largest_difference(lambda: monkeypatch.setattr(text_grams, name, (1, 1))) > 1e-3


def test_damaged_grams_are_refused():
    state = TextGrams().arrays()
    for words in (b"[" * 200_000, b"{}", b"[1]", b'["a", "a"]', b"\xff"):
        with pytest.raises(ValueError):
            TextGrams().load({**state, "words": np.frombuffer(words, np.uint8)})


def test_grams_are_stored_and_restored():
    grams, again = TextGrams(), TextGrams()
    grams.fit(texts(0, 50))
    again.load(grams.arrays())
    for text in texts(2, 20):
        for ours, theirs in zip(grams.vector(text), again.vector(text), strict=True):
            np.testing.assert_array_equal(ours, theirs)
