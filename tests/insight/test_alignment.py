"""The picture of an alignment."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from seriatim.insight.alignment import Alignment, draw_alignment
from seriatim.insight.report.alignments import alignments

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


def test_regions_that_form_a_square_are_a_picture() -> None:
    row = {"target": ["a", "b"], "weights": [[0.25] * 4, [1.0, 0.0, 0.0, 0.0]]}
    assert Alignment.of(row).side == 2
    assert Alignment.of({**row, "source": ["w", "x", "y", "z"]}).side == 0
    assert Alignment.of({"target": ["a"], "weights": [[0.5, 0.5]]}).side == 0


def test_report_draws_each_weight_at_its_place() -> None:
    item = Alignment(("x", "<b>"), ("y",), ((0.0, 0.75),))
    drawing = alignments([item])
    assert drawing.count('class="bar') == 1 and 'opacity="0.75"' in drawing
    assert "&lt;b&gt;" in drawing and "<b>" not in drawing
    assert alignments([]) == ""
    assert "regions" in alignments([Alignment(("1",) * 4, ("y",), ((0.25,) * 4,), side=2)])
