"""The twin against numbers computed by hand. Laws check that everything else agrees with the twin."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seriatim.kernels import reference
from seriatim.kernels.reference import forward, step
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.spec import CellSpec


def sigma(a):
    return 1 / (1 + math.exp(-a))


def row(*values):
    return np.array([values], dtype=np.float64)


def column(*values):
    return np.array(values, dtype=np.float64)[:, None]


@pytest.mark.parametrize(
    ("activation", "phi"), [("tanh", math.tanh), ("relu", lambda a: max(a, 0.0)), ("sigmoid", sigma)]
)
@pytest.mark.parametrize("x", [2.0, -2.0])
def test_rnn_step(activation, phi, x):
    weights = Weights(column(0.5), column(-0.4), np.array([0.1]), np.array([0.2]))
    (h,) = step(CellSpec("rnn", 1, 1, activation=activation), row(x), (row(0.3),), weights)
    assert h.item() == pytest.approx(phi(0.5 * x - 0.4 * 0.3 + 0.1 + 0.2), abs=1e-15)


def test_lstm_step():
    w_i, w_h, b_i, b_h = (0.5, -0.3, 0.8, 0.2), (0.1, 0.4, -0.6, 0.7), (0.0, 1.0, 0.1, -0.2), (0.3, 0.0, 0.2, 0.1)
    x, h, c = 1.5, 0.4, -0.7
    i, f, g, o = (a * x + b * h + d + e for a, b, d, e in zip(w_i, w_h, b_i, b_h, strict=True))
    c_next = sigma(f) * c + sigma(i) * math.tanh(g)
    h_next = sigma(o) * math.tanh(c_next)
    weights = Weights(column(*w_i), column(*w_h), np.array(b_i), np.array(b_h))
    result = step(CellSpec("lstm", 1, 1), row(x), (row(h), row(c)), weights)
    assert [value.item() for value in result] == pytest.approx([h_next, c_next], abs=1e-15)


def test_lstm_projection():
    random = np.random.default_rng(0)
    w_hr = random.standard_normal((2, 3))
    plain = Weights(random.standard_normal((12, 1)), random.standard_normal((12, 3)))
    weights = Weights(plain.w_ih, np.zeros((12, 2)), w_hr=w_hr)
    spec = CellSpec("lstm", 1, 3, proj_size=2, bias=False)
    (h, c) = step(spec, row(1.0), (np.ones((1, 2)), np.ones((1, 3))), weights)
    without = Weights(plain.w_ih, np.zeros((12, 3)))
    (m, c_plain) = step(CellSpec("lstm", 1, 3, bias=False), row(1.0), (np.ones((1, 3)), np.ones((1, 3))), without)
    np.testing.assert_allclose(h, m @ w_hr.T)
    np.testing.assert_allclose(c, c_plain)


def test_gru_step():
    """The reset gate multiplies the product and its bias (the n block of b_hh); z is the share of the old state."""
    w_i, w_h, b_i, b_h = (0.5, -0.3, 0.8), (0.1, 0.4, -0.6), (0.0, 1.0, 0.1), (0.3, 0.0, 0.2)
    x, h = 1.5, 0.4
    r = sigma(w_i[0] * x + b_i[0] + w_h[0] * h + b_h[0])
    z = sigma(w_i[1] * x + b_i[1] + w_h[1] * h + b_h[1])
    n = math.tanh(w_i[2] * x + b_i[2] + r * (w_h[2] * h + b_h[2]))
    weights = Weights(column(*w_i), column(*w_h), np.array(b_i), np.array(b_h))
    (result,) = step(CellSpec("gru", 1, 1), row(x), (row(h),), weights)
    assert result.item() == pytest.approx(z * h + (1 - z) * n, abs=1e-15)


def test_gru_step_with_the_reset_gate_before_the_product():
    """Two units, so that r ⊙ h before the product differs from r after it (Cho 2014)."""
    random = np.random.default_rng(0)
    w_ih, w_hh = random.standard_normal((6, 1)), random.standard_normal((6, 2))
    b_ih, b_hh = random.standard_normal(6), random.standard_normal(6)
    x, h = 1.5, np.array([0.4, -0.3])
    r, z = ([sigma(w_ih[k, 0] * x + b_ih[k] + float(w_hh[k] @ h) + b_hh[k]) for k in rows] for rows in ((0, 1), (2, 3)))
    reset = h * np.array(r)
    n = [math.tanh(w_ih[k, 0] * x + b_ih[k] + float(w_hh[k] @ reset) + b_hh[k]) for k in (4, 5)]
    expected = [z[k] * h[k] + (1 - z[k]) * n[k] for k in (0, 1)]
    (result,) = step(CellSpec("gru", 1, 2, reset_after=False), row(x), (row(*h),), Weights(w_ih, w_hh, b_ih, b_hh))
    assert result[0].tolist() == pytest.approx(expected, abs=1e-15)


def test_lstm_step_with_peepholes():
    """The gates i and f read the old c, o reads the new one (Gers 2000)."""
    w_i, w_h, p_i, p_f, p_o = (0.5, -0.3, 0.8, 0.2), (0.1, 0.4, -0.6, 0.7), 0.9, -0.8, 0.5
    x, h, c = 1.5, 0.4, -0.7
    i, f, g, o = (a * x + b * h for a, b in zip(w_i, w_h, strict=True))
    c_next = sigma(f + p_f * c) * c + sigma(i + p_i * c) * math.tanh(g)
    h_next = sigma(o + p_o * c_next) * math.tanh(c_next)
    weights = Weights(column(*w_i), column(*w_h), w_ch=column(p_i, p_f, p_o))
    result = step(CellSpec("lstm", 1, 1, bias=False, peephole=True), row(x), (row(h), row(c)), weights)
    assert [value.item() for value in result] == pytest.approx([h_next, c_next], abs=1e-15)


def test_coupled_lstm_step():
    """The input gate is 1 - f; f and o have peepholes (Greff 2017)."""
    w_i, w_h, p_f, p_o = (0.5, -0.3, 0.8), (0.1, 0.4, -0.6), 0.9, -0.8
    x, h, c = 1.5, 0.4, -0.7
    f, g, o = (a * x + b * h for a, b in zip(w_i, w_h, strict=True))
    forget = sigma(f + p_f * c)
    c_next = forget * c + (1 - forget) * math.tanh(g)
    h_next = sigma(o + p_o * c_next) * math.tanh(c_next)
    weights = Weights(column(*w_i), column(*w_h), w_ch=column(p_f, p_o))
    result = step(CellSpec("cifg", 1, 1, bias=False, peephole=True), row(x), (row(h), row(c)), weights)
    assert [value.item() for value in result] == pytest.approx([h_next, c_next], abs=1e-15)


def norm(values):
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    return [(value - mean) / math.sqrt(variance + 1e-5) for value in values]


def test_lstm_step_with_layer_normalisation():
    """The input part, the recurrent part and c are normalised; biases are added afterwards (Ba 2016)."""
    random = np.random.default_rng(0)
    w_ih, w_hh = random.standard_normal((8, 1)), random.standard_normal((8, 2))
    b_ih, b_hh, g_ih, g_hh = (random.standard_normal(8) for _ in range(4))
    g_c, b_c = random.standard_normal(2), random.standard_normal(2)
    x, h, c = 1.5, np.array([0.4, -0.3]), [0.2, 0.7]
    from_x, from_h = norm([w * x for w in w_ih[:, 0]]), norm([float(w @ h) for w in w_hh])
    a = [g_ih[k] * from_x[k] + b_ih[k] + g_hh[k] * from_h[k] + b_hh[k] for k in range(8)]
    c_next = [sigma(a[2 + k]) * c[k] + sigma(a[k]) * math.tanh(a[4 + k]) for k in (0, 1)]
    normalised = norm(c_next)
    h_next = [sigma(a[6 + k]) * math.tanh(g_c[k] * normalised[k] + b_c[k]) for k in (0, 1)]
    weights = Weights(w_ih, w_hh, b_ih, b_hh, g_ih=g_ih, g_hh=g_hh, g_c=g_c, b_c=b_c)
    result = step(CellSpec("lstm", 1, 2, layer_norm=True), row(x), (row(*h), row(*c)), weights)
    assert result[0][0].tolist() == pytest.approx(h_next, abs=1e-14)
    assert result[1][0].tolist() == pytest.approx(c_next, abs=1e-14)


def test_rnn_projection():
    weights = Weights(np.array([[1.0], [2.0]]), np.array([[1.0], [-1.0]]), w_hr=np.array([[10.0, 1.0]]))
    spec = CellSpec("rnn", 1, 2, activation="relu", bias=False, proj_size=1)
    (h,) = step(spec, row(3.0), (row(2.0),), weights)
    assert h.tolist() == [[10 * 5.0 + 4.0]]


def test_gru_projection():
    """z mixes the old and the new c; the gates read h = c W_hrᵀ (Cheng 2018). Two units are projected to one."""
    w_ih, w_hh = np.arange(6.0)[:, None] / 4 - 0.5, np.arange(6.0)[:, None] / 3 - 1
    w_hr, x, h, c = np.array([[0.7, -0.4]]), 0.8, 0.3, np.array([0.5, -0.2])
    (r, z, n), v = (w_ih[:, 0] * x).reshape(3, 2), (w_hh[:, 0] * h).reshape(3, 2)
    r, z = 1 / (1 + np.exp(-r - v[0])), 1 / (1 + np.exp(-z - v[1]))
    c_next = z * c + (1 - z) * np.tanh(n + r * v[2])
    spec = CellSpec("gru", 1, 2, bias=False, proj_size=1)
    result = step(spec, row(x), (row(h), c[None]), Weights(w_ih, w_hh, w_hr=w_hr))
    np.testing.assert_allclose(result[1], c_next[None], atol=1e-15)
    np.testing.assert_allclose(result[0], [[c_next @ w_hr[0]]], atol=1e-15)


def test_slstm_projection():
    random = np.random.default_rng(0)
    w_ih, w_hr = random.standard_normal((12, 1)), random.standard_normal((2, 3))
    first = np.zeros((1, 3)), np.zeros((1, 3)), np.zeros((1, 3))
    spec = CellSpec("slstm", 1, 3, proj_size=2, bias=False)
    projected = step(spec, row(1.0), (np.ones((1, 2)), *first), Weights(w_ih, np.zeros((12, 2)), w_hr=w_hr))
    plain = CellSpec("slstm", 1, 3, bias=False)
    m, *c_plain = step(plain, row(1.0), (np.ones((1, 3)), *first), Weights(w_ih, np.zeros((12, 3))))
    np.testing.assert_allclose(projected[0], m @ w_hr.T)
    np.testing.assert_allclose(projected[1:], c_plain)


ADDING = CellSpec("rnn", 1, 1, activation="relu", bias=False)
ONES = Weights(column(1.0), column(1.0))
COUNT = np.array([[1], [2], [3], [4]], np.float64)[:, :, None]


@pytest.mark.parametrize(("reverse", "expected"), [(False, [101, 103, 3, 7]), (True, [3, 2, 107, 104])])
def test_reset_has_the_time_of_the_input(reverse, expected):
    """The state is zero before the step that reads x[2] (in reverse: x[1])."""
    reset = np.array([False, reverse, not reverse, False])[:, None]
    output, (final,), _ = forward(ADDING, COUNT, (row(100.0),), ONES, Walk(reverse=reverse, reset=reset))
    assert output[:, 0, 0].tolist() == expected
    assert final.item() == expected[0 if reverse else -1]


def test_dropout_and_zoneout_by_hand():
    """h = ¼ h + ¾ (x + 2 h): dropout doubles h in the product, but not in the zoneout mix."""
    walk = Walk(dropout=row(2.0), zoneout=(np.full((1, 1, 1), 0.25),))
    output, _, saved = forward(ADDING, COUNT, (row(1.0),), ONES, walk)
    h, expected, candidates = 1.0, [], []
    for x in (1, 2, 3, 4):
        candidates.append(x + 2 * h)
        h = 0.25 * h + 0.75 * candidates[-1]
        expected.append(h)
    assert output[:, 0, 0].tolist() == expected
    assert saved.gates[:, 0, 0, 0].tolist() == candidates


@pytest.mark.parametrize("reverse", [False, True])
def test_zoneout_has_the_time_of_the_input(reverse):
    frozen = np.array([0.0, 0.0, 1.0, 0.0])[:, None, None]
    output, _, _ = forward(ADDING, COUNT, (row(0.0),), ONES, Walk(reverse=reverse, zoneout=(frozen,)))
    assert output[:, 0, 0].tolist() == ([7, 6, 4, 4] if reverse else [1, 3, 3, 7])


@pytest.mark.parametrize("reverse", [False, True])
def test_each_row_is_read_within_its_length(reverse):
    """With h' = relu(x + h) on positive numbers, h is the sum of the inputs. NaN in the padding is not read."""
    weights = Weights(column(1.0), column(1.0))
    x = np.array([[1, 10], [2, 20], [3, np.nan], [4, np.nan]], np.float64)[:, :, None]
    spec = CellSpec("rnn", 1, 1, activation="relu", bias=False)
    output, (final,), _ = forward(spec, x, (np.full((2, 1), 100.0),), weights, Walk(np.array([4, 2]), reverse))
    rows = {
        False: [[101, 110], [103, 130], [106, 0], [110, 0]],
        True: [[110, 130], [109, 120], [107, 0], [104, 0]],
    }
    assert output[:, :, 0].tolist() == rows[reverse]
    assert final[:, 0].tolist() == [110, 130]


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_gates_are_clipped(kind):
    """Far beyond the bound a gate has its value at the bound, and no gradient. The c of an LSTM is not clipped."""
    spec = CellSpec(kind, 1, 1, bias=False, clip=0.5)
    far = Weights(column(*(9.0 for _ in spec.gates)), column(*(0.0 for _ in spec.gates)))
    state = tuple(row(0.4) for _ in spec.states)
    share, new = sigma(0.5), math.tanh(0.5)
    c = share * 0.4 + share * new
    expected = {"rnn": [new], "lstm": [share * math.tanh(c), c], "gru": [share * 0.4 + (1 - share) * math.tanh(0.5)]}
    state_next, _, tape = reference.CELLS[kind].step(spec, row(1.0), state[0], state, far)
    assert [value.item() for value in state_next] == pytest.approx(expected[kind], abs=1e-15)
    of_x, of_h, _, of_weights = reference.CELLS[kind].step_backward(spec, state, tape, far)
    assert not of_x.any() and not of_h.any() and not of_weights.w_ih.any()
