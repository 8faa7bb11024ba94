"""AR(τ) against ordinary least squares, the textbook's recursions and known processes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seriatim.errors import UsageError
from seriatim.models.naive.autoregressive import Autoregressive, grows_less_than, iterate


def process(phi: list[float], rows: int, *, constant: float = 0.0, seed: int = 0) -> np.ndarray:
    """An autoregressive process with unit shocks, [T, 1]."""
    generator = np.random.default_rng(seed)
    values = np.zeros(rows + 100)
    for t in range(len(phi), len(values)):
        values[t] = constant + sum(weight * values[t - 1 - j] for j, weight in enumerate(phi)) + generator.normal()
    return values[100:, None]


def least_squares(y: np.ndarray, d: int, lags: int, first: int) -> tuple[np.ndarray, float, int]:
    """Constant and φ of (1), RSS and n, targets y[first:]; one lstsq per candidate."""
    w = np.diff(y, n=d)
    targets = np.arange(first, len(y)) - d
    design = np.column_stack([np.ones(len(targets)), *(w[targets - j] for j in range(1, lags + 1))])
    solution = np.linalg.lstsq(design, w[targets], rcond=None)[0]
    return solution, float(((w[targets] - design @ solution) ** 2).sum()), len(targets)


@pytest.mark.parametrize("seed", range(6))
def test_bic_equals_separate_regressions(seed: int) -> None:
    y = process([0.9, -0.3, 0.2], 120, constant=2.0, seed=seed)
    if seed % 2:
        y = y.cumsum(0)
    max_order = 10
    criterion = {}
    for d in (0, 1):
        for lags in range(max_order + 1):
            _, rss, n = least_squares(y[:, 0], d, lags, max_order + 1)
            criterion[d, lags] = n * np.log(rss / n) + (lags + 1) * np.log(n)
    d, lags = min(criterion, key=criterion.__getitem__)
    model = Autoregressive(max_lags=max_order)
    model.fit([y])
    state = model.state_dict()
    assert (state["differences"][0, 0], state["lags"][0, 0]) == (d, lags)
    solution, rss, n = least_squares(y[:, 0], d, lags, max_order + 1)
    phi = np.concatenate([[1.0], -solution[1:]])
    a = -(np.convolve(phi, [1, -1]) if d else phi)[1:]
    # The Gram matrix carries 1e-10 of ridge, and squares the condition of the design.
    np.testing.assert_allclose(state["coefficients"][0, 0, : len(a)], a, atol=1e-6)
    assert not state["coefficients"][0, 0, len(a) :].any()
    assert state["constant"][0, 0] == pytest.approx(solution[0], abs=1e-5)
    assert state["deviation"][0, 0] == pytest.approx(np.sqrt(rss / (n - lags - 1)), rel=1e-6)


def test_known_process_is_recovered() -> None:
    model = Autoregressive()
    model.fit([process([1.2, -0.5], 4000, constant=3.0)])
    state = model.state_dict()
    assert (state["lags"], state["differences"]) == (2, 0)
    # Standard errors are about √((1 - φ2²)/T) = 0.014 for weights, and 1/√(2T) = 0.011 for σ.
    np.testing.assert_allclose(state["coefficients"][0, 0, :2], [1.2, -0.5], atol=0.06)
    assert state["deviation"][0, 0] == pytest.approx(1.0, abs=0.05)
    assert model.parameters_count == 4


def test_random_walk_is_differenced() -> None:
    walk = process([], 1000, seed=3).cumsum(0)
    model = Autoregressive()
    model.fit([walk])
    assert (model.state_dict()["lags"], model.state_dict()["differences"]) == (0, 1)
    quantiles = model.forecast(0, walk, [1000], 25)[0, :, 0]
    width = quantiles[:, 2] - quantiles[:, 0]
    np.testing.assert_allclose(width / width[0], np.sqrt(np.arange(1, 26)), rtol=1e-9)


def test_forecast_iterates_the_equation() -> None:
    y = np.concatenate([process([0.5, 0.3], 80), process([0.7], 80, seed=1).cumsum(0)], axis=1)
    model = Autoregressive(max_lags=5)
    model.fit([y[:60]])
    state = model.state_dict()
    for channel in range(2):
        a, constant = state["coefficients"][0, channel], state["constant"][0, channel]
        past = list(y[:70, channel])
        for _ in range(9):
            past.append(constant + sum(weight * past[-1 - j] for j, weight in enumerate(a)))
        np.testing.assert_allclose(model.forecast(0, y, [70], 9)[0, :, channel, 1], past[70:], rtol=1e-10)


def test_shock_weights_are_impulse_response() -> None:
    a = np.array([1.1, -0.6, 0.2])
    weights, constants = iterate(2.0, a, 6)
    psi = [1.0]
    while len(psi) < 7:
        psi.append(sum(a[j] * psi[-1 - j] for j in range(min(3, len(psi)))))
    np.testing.assert_allclose(weights[:, 0], psi[1:], rtol=1e-14)
    np.testing.assert_allclose(constants, 2.0 * np.cumsum(psi[:6]), rtol=1e-14)


def test_interval_of_a_first_order_process() -> None:
    y = process([0.8], 500)
    model = Autoregressive(lags=1)
    model.fit([y])
    state = model.state_dict()
    phi, sigma = state["coefficients"][0, 0, 0], state["deviation"][0, 0]
    assert state["differences"] == 0
    quantiles = model.forecast(0, y, [500], 10)[0, :, 0]
    spread = sigma * np.sqrt((1 - phi ** (2 * np.arange(1, 11))) / (1 - phi**2))
    np.testing.assert_allclose((quantiles[:, 2] - quantiles[:, 0]) / 2 / 1.2815515655446004, spread, rtol=1e-9)


def test_season_within_lags_is_recovered() -> None:
    season = np.tile([0.0, 3.0, 1.0, 7.0, 4.0, 4.0, 9.0], 30)[:, None]
    y = season + 0.05 * np.random.default_rng(0).normal(size=season.shape)
    model = Autoregressive(season=7)
    model.fit([y[:168]])
    np.testing.assert_allclose(model.forecast(0, y, [168], 14)[0, :, 0, 1], season[168:182, 0], atol=0.5)


def test_pure_sine_continues() -> None:
    y = np.sin(np.arange(300) / 5)[:, None]
    model = Autoregressive()
    model.fit([y[:200]])
    np.testing.assert_allclose(model.forecast(0, y, [200], 100)[0, :, 0, 1], y[200:, 0], atol=0.02)


def test_growth_is_followed_but_not_explosion() -> None:
    growing = 100 * 1.01 ** np.arange(100.0)[:, None] + np.random.default_rng(0).normal(size=(100, 1))
    doubling = 2.0 ** np.arange(60.0)[:, None]
    model = Autoregressive()
    model.fit([growing])
    # The forecast continues the trend: 20 steps ahead, its error is less than the trend's growth in those steps.
    assert model.forecast(0, growing, [100], 20)[0, -1, 0, 1] == pytest.approx(100 * 1.01**119, abs=25)
    model.fit([doubling])
    ahead = model.forecast(0, doubling, [60], 600)[0, :, 0, 1]
    assert abs(ahead[-1]) < 2.0**60 * 10**11  # tenfold per training length, not 2 ** 600


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=1, max_size=6), st.sampled_from([1.0, 1.01, 1.5]))
def test_growth_equals_largest_root(phi: list[float], rate: float) -> None:
    largest = np.abs(np.roots([1.0, *(-weight for weight in phi)])).max(initial=0.0)
    if abs(largest - rate) > 1e-3:
        assert grows_less_than(rate, np.array(phi)) == (largest < rate)


def test_ridge_shrinks_weights() -> None:
    y = process([0.9], 200)
    sizes = []
    for ridge in (0.0, 1.0, 100.0):
        model = Autoregressive(lags=2, ridge=ridge)
        model.fit([y])
        phi = model.state_dict()["coefficients"][0, 0]
        # In centred values: with d = 1, a_1 = 1 + φ_1.
        sizes.append(np.abs(phi - np.eye(3)[0] * model.state_dict()["differences"][0, 0]).sum())
    assert sizes[0] > sizes[1] > sizes[2]


def test_lags_option_is_limited_by_series_length() -> None:
    y = process([0.5], 40)
    for lags, expected in ((3, 3), (100, 10)):
        model = Autoregressive(lags=lags)
        model.fit([y])
        assert model.state_dict()["lags"][0, 0] == expected


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_short_series_is_random_walk(rows: int) -> None:
    y = process([0.5], rows)
    model = Autoregressive()
    model.fit([y])
    np.testing.assert_allclose(model.forecast(0, y, [rows], 4)[0, :, 0, 1], y[-1, 0], rtol=1e-12)


def test_gram_matrix_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    y = process([0.6, 0.2], 101)
    model, blocked = Autoregressive(), Autoregressive()
    model.fit([y])
    monkeypatch.setattr("seriatim.models.naive.autoregressive.ROWS_AT_ONCE", 17)
    blocked.fit([y])
    np.testing.assert_allclose(model.forecast(0, y, [101], 5), blocked.forecast(0, y, [101], 5), rtol=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"season": 0}, "season: got 0"),
        ({"lags": 0}, "lags: got 0"),
        ({"max_lags": -1}, "max_lags: got -1"),
        ({"ridge": -1.0}, "ridge: got -1.0"),
        ({"ridge": float("nan")}, "ridge: got nan"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Autoregressive(**options)
