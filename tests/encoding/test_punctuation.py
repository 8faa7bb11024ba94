"""Tests of separating and rejoining punctuation."""

from __future__ import annotations

import pytest

from seriatim.encoding.punctuation import rejoin_punctuation, separate_punctuation


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Two young, White males are outside.", "Two young , White males are outside ."),
        ("Don't pay 3.5 (or so)!", "Don't pay 3.5 ( or so ) !"),
        ("well-known... yes", "well-known . . . yes"),
        ("안녕, 세상.", "안녕 , 세상 ."),
        ("  wide   spaces ", "wide spaces"),
    ],
)
def test_punctuation_round_trip(text: str, words: str) -> None:
    assert separate_punctuation(text) == words
    assert rejoin_punctuation(words) == " ".join(text.split())
    assert separate_punctuation(rejoin_punctuation(words)) == words


def test_quotation_mark_stays_separate() -> None:
    assert rejoin_punctuation(separate_punctuation('he says "yes".')) == 'he says " yes ".'
