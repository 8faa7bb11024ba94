"""Tests of stop strings: the output does not depend on where the pieces are cut."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seriatim.decoding.stops import cut_at_stop
from seriatim.errors import UsageError

texts = st.text("abc", max_size=12)


def plainly(text: str, stop: list[str]) -> str:
    """Reference: append letters until the text ends with a stop string."""
    for end in range(1, len(text) + 1):
        endings = [ending for ending in stop if text[:end].endswith(ending)]
        if endings:
            return text[: end - max(map(len, endings))]
    return text


@given(texts, st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.lists(st.integers(0, 12), max_size=4))
def test_stop_does_not_depend_on_piece_boundaries(text: str, stop: list[str], cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(ends)]
    assert "".join(cut_at_stop(pieces, stop)) == plainly(text, stop)


def test_no_piece_is_read_after_stop() -> None:
    def pieces() -> Iterator[str]:
        yield from ("one\n", "two", "\n\n")
        raise AssertionError("asked for more")

    assert list(cut_at_stop(pieces(), ["\n\n"])) == ["one", "\ntwo"]


def test_pieces_are_yielded_as_soon_as_possible() -> None:
    assert list(cut_at_stop("abxab", [])) == list("abxab")
    assert list(cut_at_stop("abxab", ["abc"])) == ["abx", "ab"]
    assert list(cut_at_stop("abxz", ["q"])) == list("abxz")


@pytest.mark.parametrize("stop", [[""], ["a", ""], "abc"])
def test_invalid_stop_is_refused_at_once(stop: list[str]) -> None:
    with pytest.raises(UsageError, match="stop: got "):
        cut_at_stop([], stop)
