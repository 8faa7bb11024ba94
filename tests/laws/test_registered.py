"""All tables list the same cells, and the laws cover them."""

from __future__ import annotations

import pytest

from seriatim.kernels import reference
from seriatim.nn.registry import CELLS, LAYERS
from seriatim.notation import GATES, STATES
from seriatim.ops import composed


@pytest.mark.parametrize("table", [STATES, reference.CELLS, composed.STEPS, LAYERS, CELLS])
def test_all_tables_have_all_cells(table):
    assert set(table) == set(GATES)


def test_laws_cover_all_cells(variants):
    assert {variant.kind for variant in variants} == set(GATES)
