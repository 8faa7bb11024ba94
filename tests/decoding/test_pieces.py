"""Text piece by piece is the text as a whole."""

from __future__ import annotations

import pytest

from seriatim.decoding.pieces import pieces

TEXT = "día größe 안녕 🎵 end"


def decode(units: list[int]) -> str:
    return bytes(units).decode(errors="replace")


@pytest.mark.parametrize("reach", [None, 8])
def test_a_character_of_several_units_comes_with_the_last(reach: int | None) -> None:
    found = list(pieces(decode, TEXT.encode(), reach=reach))
    assert found == list(TEXT)


@pytest.mark.parametrize("reach", [None, 2])
def test_what_stands_before_is_not_given_again(reach: int | None) -> None:
    words = ["<unk>", "to", "be", "or"]
    found = pieces(lambda units: " ".join(words[unit] for unit in units), [3, 1], [1, 2, 1, 2], reach)
    assert list(found) == [" or", " to"]


def test_no_more_than_the_reach_is_decoded_again() -> None:
    most = 0

    def watched(units: list[int]) -> str:
        nonlocal most
        most = max(most, len(units))
        return decode(units)

    assert "".join(pieces(watched, TEXT.encode(), context=list(b"x" * 99), reach=8)) == TEXT
    assert most <= 8 + 4


def test_each_piece_comes_before_the_next_unit_is_asked_for() -> None:
    asked: list[int] = []

    def units() -> object:
        for unit in b"ab":
            asked.append(unit)
            yield unit

    assert next(pieces(decode, units())) == "a" and len(asked) == 1  # type: ignore[arg-type]
