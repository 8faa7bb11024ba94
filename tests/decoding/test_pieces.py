"""Tests of incremental text: the pieces join to the whole text."""

from __future__ import annotations

import pytest

from seriatim.decoding.pieces import pieces

TEXT = "día größe 안녕 🎵 end"


def decode(units: list[int]) -> str:
    return bytes(units).decode(errors="replace")


@pytest.mark.parametrize("reach", [None, 8])
def test_character_of_several_units_comes_with_last_unit(reach: int | None) -> None:
    result = list(pieces(decode, TEXT.encode(), reach=reach))
    assert result == list(TEXT)


@pytest.mark.parametrize("reach", [None, 2])
def test_context_is_not_yielded(reach: int | None) -> None:
    words = ["<unk>", "to", "be", "or"]
    result = pieces(lambda units: " ".join(words[unit] for unit in units), [3, 1], [1, 2, 1, 2], reach)
    assert list(result) == [" or", " to"]


def test_decoded_context_is_limited_by_reach() -> None:
    longest = 0

    def watched(units: list[int]) -> str:
        nonlocal longest
        longest = max(longest, len(units))
        return decode(units)

    assert "".join(pieces(watched, TEXT.encode(), context=list(b"x" * 99), reach=8)) == TEXT
    assert longest <= 8 + 4


def test_pieces_are_yielded_before_next_unit_is_read() -> None:
    units_read: list[int] = []

    def units() -> object:
        for unit in b"ab":
            units_read.append(unit)
            yield unit

    assert next(pieces(decode, units())) == "a" and len(units_read) == 1  # type: ignore[arg-type]
