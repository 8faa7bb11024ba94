"""Separates punctuation from words, as a vocabulary of words needs, and rejoins it.

A mark inside a word is not separated: ``don't``, ``3.5`` and ``well-known`` stay whole. Rejoining is a guess: a
quotation mark stays separate, because it could belong to either side.
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
    """Remove the spaces that ``separate_punctuation`` put before closing marks and after opening ones."""
    return _AFTER_OPENING.sub(r"\1", _BEFORE_CLOSING.sub(r"\1", text))
