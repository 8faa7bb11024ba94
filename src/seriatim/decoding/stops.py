"""Text that comes piece by piece, ended by a stop string."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seriatim.errors import UsageError


def cut_at_stop(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """Give ``pieces`` until their text ends with one of ``stop``, which is not shown; nothing is asked for after it.

    What could be the beginning of a stop string is held back until it is clear, so that the text that comes out does
    not depend on where the pieces were cut. Raises ``UsageError`` at once for an empty stop string.
    """
    if isinstance(stop, str) or not all(stop):
        raise UsageError(f"stop: got {stop!r}, wanted texts that are not empty")
    return _until(pieces, stop)


def _until(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    held = ""
    for piece in pieces:
        held += piece
        found = [(at + len(one), at) for one in stop if (at := held.find(one)) >= 0]
        if found:
            _, start = min(found)  # the first to end; of several the longest
            if start:
                yield held[:start]
            return
        clear = len(held) - max((_begun(held, one) for one in stop), default=0)
        if clear:
            yield held[:clear]
            held = held[clear:]
    if held:
        yield held


def _begun(text: str, stop: str) -> int:
    """Length of the longest beginning of ``stop`` that ``text`` ends with."""
    return next((size for size in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:size])), 0)
