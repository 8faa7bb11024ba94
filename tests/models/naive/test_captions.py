"""Captions without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seriatim.models.naive.captions import MostCommonCaption, NearestImage

DRAW = np.random.default_rng(0)


def some_pixels(count: int = 5, side: int = 8) -> list[Any]:
    return list(DRAW.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def test_most_common_caption() -> None:
    model = MostCommonCaption()
    model.fit([["a dog", "a cat"], ["two cats"], ["a cat", "a dog"]])
    assert model.captions(some_pixels(2)) == ["a dog"] * 2
    again = MostCommonCaption()
    again.load_state_dict(model.state_dict())
    assert again.captions(some_pixels(1)) == ["a dog"]


@pytest.mark.parametrize("side", [1, 8, 32, 33, 64, 90])
def test_nearest_image_equals_brute_force(side: int) -> None:
    train_pixels, new = some_pixels(20, side), some_pixels(9, side)
    model = NearestImage()
    model.fit(train_pixels, [[f"é{number}", "other"] for number in range(20)])
    if side <= 32:
        distances = [[np.square(a.astype(float) - b).sum() for b in train_pixels] for a in new]
        assert model.captions(new) == [f"é{np.argmin(row)}" for row in distances]
    assert model.captions(train_pixels) == [f"é{number}" for number in range(20)]
    again = NearestImage()
    again.load_state_dict(model.state_dict())
    assert again.captions(new) == model.captions(new)


def test_large_pictures_are_compared_by_means_of_squares() -> None:
    model = NearestImage()
    fine = np.zeros((64, 64, 3), np.uint8)
    fine[::2, ::2] = 80
    model.fit([fine], [["x"]])
    assert model.vectors.shape == (1, 32 * 32 * 3)
    assert set(model.vectors.reshape(-1)) == {20}


def test_features_are_compared_by_their_mean() -> None:
    model = NearestImage()
    model.fit([np.float32([[0, 0], [2, 2]]), np.float32([[5, 5]])], [["near one"], ["near five"]])
    assert model.captions([np.float32([[1.5, 1]]), np.float32([[9, 9], [0, 0]])]) == ["near one", "near five"]


def test_more_pictures_than_one_part() -> None:
    train_pixels = some_pixels(600, 4)
    model = NearestImage()
    model.fit(train_pixels, [[str(number)] for number in range(600)])
    assert model.captions(train_pixels) == [str(number) for number in range(600)]


def test_damaged_arrays_are_refused() -> None:
    model = NearestImage()
    model.fit(some_pixels(3), [["a"], ["b"], ["c"]])
    state = model.state_dict()
    with pytest.raises(ValueError, match="captions: got 3, wanted one for each of"):
        NearestImage().load_state_dict(state | {"pictures": state["pictures"][:2]})
