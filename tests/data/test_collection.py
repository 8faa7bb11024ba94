"""Tests of all collections: duplicates within one, and across a split."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.data.collection import Collection, duplicate_key
from seriatim.data.images import Pictures
from seriatim.data.pairs import Pairs
from seriatim.data.sequence_collection import Sequences
from seriatim.data.tagged import Sentence, Tagged


def pairs(texts: list[str]) -> Pairs:
    return Pairs(list(texts), [str(number) for number in range(len(texts))], list(texts), list(texts))


def texts(texts: list[str]) -> Sequences:
    return Sequences(list(texts), [str(number) for number in range(len(texts))], None, list(texts))


def numbers(texts: list[str]) -> Sequences:
    return Sequences([np.array([[len(text)]], np.float32) for text in texts], list(texts), None, list(texts))


def pictures(texts: list[str]) -> Pictures:
    pixels = [np.full((2, 2, 3), len(text), np.uint8) for text in texts]
    return Pictures(pixels, [[text] for text in texts], None, list(texts), list(range(len(texts))))


def tagged(texts: list[str]) -> Tagged:
    return Tagged([Sentence([*text], [*text], "data item", [1] * len(text)) for text in texts])


@pytest.mark.parametrize("make", [pairs, texts, numbers, pictures, tagged])
def test_duplicates(make: object) -> None:
    assert callable(make)
    collection = make(["a", "bb", "bb", "ccc", "a"])
    assert isinstance(collection, Collection)
    unique, dropped = collection.without_duplicates()
    assert type(unique) is type(collection) and (len(unique), dropped) == (3, 2)
    assert unique.keys == make(["a", "bb", "ccc"]).keys and unique.content == collection.take([0, 1, 3]).content
    assert collection.take([4, 1]).keys == [collection.keys[4], collection.keys[1]]
    assert make(["bb", "bb", "dddd"]).count_known(collection) == 2


def test_arrays_of_different_shapes_are_no_duplicates() -> None:
    flat = np.arange(6, dtype=np.float32)
    assert duplicate_key(flat.reshape(2, 3)) != duplicate_key(flat.reshape(3, 2)) and duplicate_key(
        flat
    ) == duplicate_key(flat.copy())
