"""Punctuation apart from words, and back: what a vocabulary of words needs of ordinary text.

A mark goes apart where it does not stand within a word, so that ``don't``, ``3.5`` and ``well-known`` stay whole. The
way back is a guess: a quotation mark stays apart, for nobody says which side it belongs to.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"(?<!\w)[^\w\s]|[^\w\s](?!\w)")
_BEFORE_CLOSING = re.compile(r" ([,.;:!?%)\]}»”…])")
_AFTER_OPENING = re.compile(r"([(\[{«“¿¡]) ")


def separate_punctuation(text: str) -> str:
    """Put spaces around punctuation: ``Yes, (it) is.`` → ``Yes , ( it ) is .``."""
    return " ".join(_MARK.sub(lambda mark: f" {mark[0]} ", text).split())


def rejoin_punctuation(text: str) -> str:
    """Take back the spaces that ``separate_punctuation`` put before closing marks and after opening ones."""
    return _AFTER_OPENING.sub(r"\1", _BEFORE_CLOSING.sub(r"\1", text))
