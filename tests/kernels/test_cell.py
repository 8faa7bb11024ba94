from __future__ import annotations

import math

import numpy as np
import pytest

from seriatim.kernels.cell import sigmoid


@pytest.mark.parametrize("a", [0.0, 1.0, -1.0, 20.0, -20.0, -700.0, 700.0])
def test_sigmoid_keeps_its_digits_in_both_tails(a):
    expected = 1 / (1 + math.exp(-a)) if a >= 0 else math.exp(a) / (1 + math.exp(a))
    assert sigmoid(np.array(a)).item() == pytest.approx(expected, rel=1e-15)


def test_sigmoid_does_not_overflow_and_keeps_float32():
    result = sigmoid(np.array([-1e4, 1e4, np.nan], np.float32))
    assert result.dtype == np.float32
    assert result[:2].tolist() == [0.0, 1.0]
    assert np.isnan(result[2])
