"""A cell that is registered anywhere is registered everywhere, and the laws cover it."""

from __future__ import annotations

import pytest

from seriatim.kernels import reference
from seriatim.nn.registry import CELLS, LAYERS
from seriatim.notation import GATES, STATES
from seriatim.ops import composed


@pytest.mark.parametrize("table", [STATES, reference.CELLS, composed.STEPS, LAYERS, CELLS])
def test_every_table_has_every_cell(table):
    assert set(table) == set(GATES)


def test_the_laws_cover_every_cell(variants):
    assert {variant.kind for variant in variants} == set(GATES)
