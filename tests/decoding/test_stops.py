"""Stop strings: what comes out does not depend on where the pieces were cut."""

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
    """Letter by letter, as it is told: until the text ends with one of them."""
    for end in range(1, len(text) + 1):
        endings = [one for one in stop if text[:end].endswith(one)]
        if endings:
            return text[: end - max(map(len, endings))]
    return text


@given(texts, st.lists(st.text("abc", min_size=1, max_size=4), max_size=3), st.lists(st.integers(0, 12), max_size=4))
def test_however_the_text_is_cut(text: str, stop: list[str], cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(ends)]
    assert "".join(cut_at_stop(pieces, stop)) == plainly(text, stop)


def test_nothing_is_asked_for_after_the_stop() -> None:
    def pieces() -> Iterator[str]:
        yield from ("one\n", "two", "\n\n")
        raise AssertionError("asked for more")

    assert list(cut_at_stop(pieces(), ["\n\n"])) == ["one", "\ntwo"]


def test_pieces_come_as_soon_as_they_are_clear() -> None:
    assert list(cut_at_stop("abxab", [])) == list("abxab")
    assert list(cut_at_stop("abxab", ["abc"])) == ["abx", "ab"]
    assert list(cut_at_stop("abxz", ["q"])) == list("abxz")


@pytest.mark.parametrize("stop", [[""], ["a", ""], "abc"])
def test_what_is_no_list_of_texts_is_refused_at_once(stop: list[str]) -> None:
    with pytest.raises(UsageError, match="stop: got "):
        cut_at_stop([], stop)
