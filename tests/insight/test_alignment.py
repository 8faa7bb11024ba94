"""The picture of an alignment."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from seriatim.insight.alignment import draw_alignment

ALIGNMENT = {"source": ["a", "b", "$"], "target": ["x", "y"], "weights": [[1, 0, 0], [0, 0, 1]]}


def picture(**given: object) -> np.ndarray:
    file = draw_alignment({name: value for name, value in (ALIGNMENT | given).items() if value is not None})
    return np.asarray(imread(io.BytesIO(file), format="png"))[..., :3].mean(-1)


def test_it_is_dark_where_attention_looked() -> None:
    inked = picture() < 0.1
    assert inked.mean() > 0.05
    blank = picture(weights=[[0, 0, 0], [0, 0, 0]]) < 0.1
    assert blank.mean() < inked.mean() / 3


@pytest.mark.parametrize(
    "given",
    [
        {"target": [], "weights": []},
        {"source": None},
        {"source": None, "target": [], "weights": []},
        {"source": ["오늘", "Ġhaus", "."]},
        {"source": ["$x$", "_", "^"]},
    ],
)
def test_anything_can_be_drawn(given: dict[str, object]) -> None:
    assert picture(**given).shape[0] > 50
