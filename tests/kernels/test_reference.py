"""The twin against numbers worked out by hand. That everything else agrees with the twin is a law."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seriatim.kernels.reference import forward, step
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def sigma(a):
    return 1 / (1 + math.exp(-a))


def one(*values):
    return np.array([values], dtype=np.float64)


def column(*values):
    return np.array(values, dtype=np.float64)[:, None]


@pytest.mark.parametrize(
    ("activation", "phi"), [("tanh", math.tanh), ("relu", lambda a: max(a, 0.0)), ("sigmoid", sigma)]
)
@pytest.mark.parametrize("x", [2.0, -2.0])
def test_rnn_step(activation, phi, x):
    weights = Weights(column(0.5), column(-0.4), np.array([0.1]), np.array([0.2]))
    (h,) = step(CellSpec("rnn", 1, 1, activation=activation), one(x), (one(0.3),), weights)
    assert h.item() == pytest.approx(phi(0.5 * x - 0.4 * 0.3 + 0.1 + 0.2), abs=1e-15)


def test_lstm_step():
    w_i, w_h, b_i, b_h = (0.5, -0.3, 0.8, 0.2), (0.1, 0.4, -0.6, 0.7), (0.0, 1.0, 0.1, -0.2), (0.3, 0.0, 0.2, 0.1)
    x, h, c = 1.5, 0.4, -0.7
    i, f, g, o = (a * x + b * h + d + e for a, b, d, e in zip(w_i, w_h, b_i, b_h, strict=True))
    c_next = sigma(f) * c + sigma(i) * math.tanh(g)
    h_next = sigma(o) * math.tanh(c_next)
    weights = Weights(column(*w_i), column(*w_h), np.array(b_i), np.array(b_h))
    found = step(CellSpec("lstm", 1, 1), one(x), (one(h), one(c)), weights)
    assert [value.item() for value in found] == pytest.approx([h_next, c_next], abs=1e-15)


def test_lstm_projection():
    random = np.random.default_rng(0)
    w_hr = random.standard_normal((2, 3))
    plain = Weights(random.standard_normal((12, 1)), random.standard_normal((12, 3)))
    weights = Weights(plain.w_ih, np.zeros((12, 2)), w_hr=w_hr)
    spec = CellSpec("lstm", 1, 3, proj_size=2, bias=False)
    (h, c) = step(spec, one(1.0), (np.ones((1, 2)), np.ones((1, 3))), weights)
    without = Weights(plain.w_ih, np.zeros((12, 3)))
    (m, same) = step(CellSpec("lstm", 1, 3, bias=False), one(1.0), (np.ones((1, 3)), np.ones((1, 3))), without)
    np.testing.assert_allclose(h, m @ w_hr.T)
    np.testing.assert_allclose(c, same)


def test_gru_step():
    """The reset gate acts after the product, b_hh's n block inside its reach; z is how much old."""
    w_i, w_h, b_i, b_h = (0.5, -0.3, 0.8), (0.1, 0.4, -0.6), (0.0, 1.0, 0.1), (0.3, 0.0, 0.2)
    x, h = 1.5, 0.4
    r = sigma(w_i[0] * x + b_i[0] + w_h[0] * h + b_h[0])
    z = sigma(w_i[1] * x + b_i[1] + w_h[1] * h + b_h[1])
    n = math.tanh(w_i[2] * x + b_i[2] + r * (w_h[2] * h + b_h[2]))
    weights = Weights(column(*w_i), column(*w_h), np.array(b_i), np.array(b_h))
    (found,) = step(CellSpec("gru", 1, 1), one(x), (one(h),), weights)
    assert found.item() == pytest.approx(z * h + (1 - z) * n, abs=1e-15)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_scan_walks_each_row_within_its_length(reverse):
    """With h' = relu(x + h) on positive numbers the scan adds up what it reads, and NaN beyond the end is not read."""
    weights = Weights(column(1.0), column(1.0))
    x = np.array([[1, 10], [2, 20], [3, np.nan], [4, np.nan]], np.float64)[:, :, None]
    spec = CellSpec("rnn", 1, 1, activation="relu", bias=False)
    output, (final,), _ = forward(spec, x, (np.full((2, 1), 100.0),), weights, np.array([4, 2]), reverse)
    rows = {
        False: [[101, 110], [103, 130], [106, 0], [110, 0]],
        True: [[110, 130], [109, 120], [107, 0], [104, 0]],
    }
    assert output[:, :, 0].tolist() == rows[reverse]
    assert final[:, 0].tolist() == [110, 130]
