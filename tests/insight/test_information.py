"""Mutual information and autocorrelation by lag, where they are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seriatim.insight.information import (
    autocorrelation,
    autoregressive_order,
    default_lags,
    number_information,
    partial_autocorrelation,
    plug_in_bits,
    symbol_information,
)

CHAIN = {1: 0.531, 2: 0.320, 5: 0.0789, 10: 0.00833}
"""Bits by lag of a two-state chain that flips with probability 0.1: after k steps it differs with (1 - 0.8^k)/2."""


def chain(length: int, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).random(length) < 0.1) % 2


def autoregressive(length: int, rate: float = 0.9, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(length)
    values = np.empty(length)
    values[0] = noise[0] / math.sqrt(1 - rate**2)
    for t in range(1, length):
        values[t] = rate * values[t - 1] + noise[t]
    return values


def entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def test_two_state_chain() -> None:
    """With 200,000 steps the standard error is below 0.004 bits at lag 1, and smaller at longer lags."""
    result = symbol_information([chain(200_000)], list(CHAIN))
    for bits, (lag, expected) in zip(result.values, CHAIN.items(), strict=True):
        assert expected == pytest.approx(1 - entropy((1 - 0.8**lag) / 2), rel=2e-3)
        assert bits == pytest.approx(expected, abs=0.008 if lag < 5 else 0.004)


def test_exact_counts_give_exact_information() -> None:
    """All pairs of a fair coin and its flip with 0.1, in exact proportion; the bias term is known and taken back."""
    earlier = np.repeat([0, 0, 1, 1], [9000, 1000, 1000, 9000])
    later = np.repeat([0, 1, 0, 1], [9000, 1000, 1000, 9000])
    bias = 1 / (2 * 20_000 * math.log(2))
    assert plug_in_bits(earlier, later, 2) == pytest.approx(1 - entropy(0.1) - bias, abs=1e-12)


def test_correction_removes_the_bias() -> None:
    """Independent symbols: without correction the mean is (K - 1)² / (2 n ln 2) = 0.058 bits here."""
    generator = np.random.default_rng(0)
    result = [plug_in_bits(*generator.integers(0, 10, (2, 1000)), 10) for _ in range(200)]
    assert abs(float(np.mean(result))) < 0.003


def test_autoregressive_process() -> None:
    """ρ(k) = 0.9^k and I(k) = -½ log2(1 - 0.81^k)."""
    series = [autoregressive(100_000)]
    lags = [1, 2, 5, 10, 20]
    correlations = autocorrelation(series, lags).values
    bits = number_information(series, lags).values
    for lag, rho, information in zip(lags, correlations, bits, strict=True):
        assert rho == pytest.approx(0.9**lag, abs=0.03)
        assert information == pytest.approx(-0.5 * math.log2(1 - 0.81**lag), abs=0.03)


def test_partial_autocorrelation_ends_at_the_order() -> None:
    """AR(2): x_t = 0.5 x_{t-1} + 0.3 x_{t-2} + e has the partial autocorrelations 0.5 / 0.7, 0.3, 0, 0, …"""
    noise = np.random.default_rng(0).standard_normal(100_000)
    values = np.zeros(100_000)
    for t in range(2, len(values)):
        values[t] = 0.5 * values[t - 1] + 0.3 * values[t - 2] + noise[t]
    result = partial_autocorrelation([values], 6)
    assert result.values.tolist() == pytest.approx([0.5 / 0.7, 0.3, 0, 0, 0, 0], abs=0.015)
    assert result.horizon() == 2
    assert autoregressive_order([values], 30) == 2


def test_partial_autocorrelation_is_the_last_weight_of_a_least_squares_fit() -> None:
    values = autoregressive(20_000, 0.7)
    centred = values - values.mean()
    lagged = np.stack([centred[3 - k : -k] for k in (1, 2, 3)], 1)
    weights = np.linalg.lstsq(lagged, centred[3:], rcond=None)[0]
    assert partial_autocorrelation([values], 3).values[2] == pytest.approx(weights[2], abs=2e-3)


def test_information_of_numbers_does_not_depend_on_their_scale() -> None:
    values = autoregressive(3000)
    plain = number_information([values], [1, 3]).values
    bent = number_information([np.exp(values)], [1, 3]).values
    assert bent == pytest.approx(plain, rel=1e-9)


def test_independent_data_have_no_horizon() -> None:
    """In 40 sets of independent symbols and numbers at most 3 may have a horizon: 95 % are wanted not to."""
    false = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        lags = default_lags(150)
        false += symbol_information([generator.integers(0, 5, 2000)], lags, seed=seed).horizon() > 0
        false += autocorrelation([generator.standard_normal(2000)], lags, seed=seed).horizon() > 0
    assert false <= 3


def test_horizon_finds_the_period() -> None:
    steps = np.arange(3000)
    noise = np.random.default_rng(0).standard_normal(3000)
    values = (steps % 168 == 0) * 30.0 + noise
    result = autocorrelation([values], default_lags(200, dense=200))
    assert result.horizon() == 168


def test_parity_has_no_information_at_any_lag() -> None:
    """x_t = x_{t-1} xor x_{t-3} of fair coins is determined by its past, and no pair shows it."""
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2, (6000, 3))
    triples = np.concatenate([np.stack([b, c, b ^ c]) for b, c in bits[:, :2]])
    assert symbol_information([triples], default_lags(10)).values.max() < 0.01


def test_pairs_do_not_cross_sequences() -> None:
    series = [np.zeros(50, int), np.ones(50, int)]
    assert autocorrelation([np.array([1.0, -1.0] * 2)] * 50, [1]).values[0] == pytest.approx(-1)
    assert symbol_information(series, [60]).values[0] == 0


def test_rare_symbols_are_merged() -> None:
    generator = np.random.default_rng(0)
    result = symbol_information([generator.integers(0, 5000, 20_000)], [1, 2])
    assert abs(result.values).max() < 0.02


def test_lags_are_dense_then_spaced() -> None:
    lags = default_lags(1000)
    assert lags[:64].tolist() == list(range(1, 65))
    assert lags[-1] == 1000 and len(lags) < 170
