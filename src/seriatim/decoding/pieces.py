"""Converts units to text while they are generated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence


def pieces(
    decode: Callable[[list[int]], str], units: Iterable[int], context: Sequence[int] = (), reach: int | None = None
) -> Iterator[str]:
    """Yield the text that each unit adds after ``context``; a character of several units comes with the last one.

    The last ``reach`` units decide how the next unit joins the text (None: all units do).
    """
    buffer = list(context)
    length = None
    for unit in units:
        if length is None:
            buffer = buffer[-reach:] if reach else buffer
            length = len(decode(buffer))
        buffer.append(unit)
        text = decode(buffer)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            yield text[length:]
            length = None if reach else len(text)
