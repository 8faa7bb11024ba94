"""Writes control characters as escapes, so that a value of a file cannot command the terminal or reorder its lines."""

from __future__ import annotations

import re
from typing import Final

CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, line separators, marks that reverse the direction of a text, and halves of surrogate pairs.

Joiners, as in emoji and Indic scripts, are not among them.
"""


def escape_controls(text: str, keep: str = "") -> str:
    """Return ``text`` with ``\\x1b`` and so on for each control character that is not in ``keep``."""
    return CONTROLS.sub(lambda match: match[0] if match[0] in keep else ascii(match[0])[1:-1], text)


def escape_json(text: str) -> str:
    """Return JSON ``text`` with ``\\u009b`` and so on for each control character; it has the same meaning."""
    return CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
