"""Units to text as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence


def pieces(
    decode: Callable[[list[int]], str], units: Iterable[int], context: Sequence[int] = (), reach: int | None = None
) -> Iterator[str]:
    """Give what each unit adds to the text of those ``before``; a character of several units comes with the last.

    The last ``reach`` units tell how the next one joins on (None: all of them do).
    """
    held = list(context)
    shown = None
    for unit in units:
        if shown is None:
            held = held[-reach:] if reach else held
            shown = len(decode(held))
        held.append(unit)
        text = decode(held)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            yield text[shown:]
            shown = None if reach else len(text)
