"""Chooses the unit of texts: words, byte pairs or characters.

Words are good units where most words of a new text were seen before. They are not in scripts without spaces between
words (Chinese, Japanese, Thai), nor in languages that join words together (Korean, Finnish, Turkish).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec

from seriatim.percent import percent

AUTO = "auto"
"""The value of the option ``unit`` that leaves the choice to this file."""
MAX_UNKNOWN = 0.25
"""If a larger share of the words of one half of the texts is not in the other half, words are not the units."""
MIN_CHARACTERS = 50_000
"""Fewer characters are too little to learn byte pairs from."""
JOINED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Letters of scripts without spaces between words (Thai, Lao, Burmese, Khmer, Kana, Han), and Hangul."""
LETTER = re.compile(r"[^\W\d_]")


def choose_unit(texts: Sequence[str]) -> tuple[str, str]:
    """Return the unit for ``texts``, and the reason for it in words.

    Words, unless most letters belong to a script in which words are joined, or too many words are unknown: their share
    is measured on every second text, with the other texts as the vocabulary. Then byte pairs, if there is enough text
    to learn them and their library is installed; otherwise characters for joined scripts, and words for others.

    >>> choose_unit(["the cat sat", "the dog sat", "the cat ran"])
    ('word', '33 % of the words in one half of the texts are not in the other')
    >>> choose_unit(["我喜欢吃苹果", "他不喜欢吃梨"])
    ('char', 'this script joins words together')
    """
    is_joined = joined_share(texts) > 0.5
    unknown = unknown_share(texts)
    reason = f"{percent(unknown)} of the words in one half of the texts are not in the other"
    if is_joined:
        reason = "this script joins words together"
    is_enough = sum(map(len, texts)) >= MIN_CHARACTERS and find_spec("tokenizers") is not None
    if is_enough and (is_joined or unknown > MAX_UNKNOWN):
        return "bpe", reason
    return ("char" if is_joined else "word"), reason


def unknown_share(texts: Sequence[str]) -> float:
    """Return the share of words in every second text that do not occur in the other texts."""
    known = {word for text in texts[::2] for word in text.split()}
    words = [word for text in texts[1::2] for word in text.split()]
    return sum(word not in known for word in words) / len(words) if words else 0.0


def joined_share(texts: Sequence[str]) -> float:
    """Return the share of letters that belong to scripts in which words are joined together."""
    joined = sum(len(JOINED.findall(text)) for text in texts)
    letters = sum(len(LETTER.findall(text)) for text in texts)
    return joined / letters if letters else 0.0
