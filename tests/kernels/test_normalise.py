from __future__ import annotations

import numpy as np
import pytest

from seriatim.kernels.normalise import EPSILON, normalise, normalise_backward


def test_by_hand():
    normal, deviation = normalise(np.array([[1.0, 2.0, 6.0]]))
    spread = (14 / 3 + EPSILON) ** 0.5
    assert deviation.item() == pytest.approx(spread, rel=1e-15)
    assert normal[0].tolist() == pytest.approx([-2 / spread, -1 / spread, 3 / spread], rel=1e-15)


def test_equal_values_become_zero_and_float32_stays():
    normal, deviation = normalise(np.full((2, 5), 7, np.float32))
    assert not normal.any()
    assert (normal.dtype, deviation.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("width", [1, 2, 17])
def test_gradient_equals_slope(width):
    """Central differences, h = 1e-6: error O(h²) = 1e-12 of a third derivative."""
    random = np.random.default_rng(width)
    a, grad, way = (random.standard_normal((3, 2, width)) for _ in range(3))
    normal, deviation = normalise(a)
    slope = ((normalise(a + 1e-6 * way)[0] - normalise(a - 1e-6 * way)[0]) * grad).sum() / 2e-6
    result = (normalise_backward(grad, normal, deviation) * way).sum()
    assert result == pytest.approx(slope, rel=1e-7, abs=1e-8)
