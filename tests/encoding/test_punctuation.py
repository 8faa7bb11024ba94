"""Punctuation apart, and back."""

from __future__ import annotations

import pytest

from seriatim.encoding.punctuation import apart, together


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
def test_marks_stand_apart_and_come_back(text: str, words: str) -> None:
    assert apart(text) == words
    assert together(words) == " ".join(text.split())
    assert apart(together(words)) == words


def test_a_quotation_mark_stays_apart() -> None:
    assert together(apart('he says "yes".')) == 'he says " yes ".'
