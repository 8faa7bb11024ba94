"""Ends a stream of text at a stop string."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seriatim.errors import UsageError


def cut_at_stop(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """Yield ``pieces`` up to the first string of ``stop``, which is not yielded; no piece is read after it.

    A possible beginning of a stop string is kept back until the next piece decides. The output therefore does not
    depend on where the pieces are cut. Raises ``UsageError`` at once for an empty stop string.
    """
    if isinstance(stop, str) or not all(stop):
        raise UsageError(f"stop: got {stop!r}, wanted texts that are not empty")
    return _until(pieces, stop)


def _until(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    buffer = ""
    for piece in pieces:
        buffer += piece
        matches = [(at + len(string), at) for string in stop if (at := buffer.find(string)) >= 0]
        if matches:
            _, start = min(matches)  # the first to end; of several the longest
            if start:
                yield buffer[:start]
            return
        clear = len(buffer) - max((_partial_match(buffer, string) for string in stop), default=0)
        if clear:
            yield buffer[:clear]
            buffer = buffer[clear:]
    if buffer:
        yield buffer


def _partial_match(text: str, stop: str) -> int:
    """Return the length of the longest prefix of ``stop`` at the end of ``text``."""
    return next((size for size in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:size])), 0)
