"""Horizons of curves over lags, and gradients by lag."""

from __future__ import annotations

import math

import pytest
import torch

import seriatim.nn as snn
from seriatim.insight.gradients import input_gradient_norms
from seriatim.insight.horizon import curve_of, horizon


@pytest.mark.parametrize("rate", [0.3, 0.9, 0.99])
def test_horizon_of_a_geometric_curve_is_exact(rate: float) -> None:
    lags = torch.arange(1000, dtype=torch.float64)
    result = horizon(rate**lags)
    assert result.lag == pytest.approx(math.log(0.01) / math.log(rate), rel=1e-12)
    assert not result.is_censored


def test_horizon_is_the_last_crossing() -> None:
    assert horizon(torch.tensor([1.0, 0.001, 0.5, 0.0001])).lag > 2


def test_curve_that_stays_high_is_censored() -> None:
    result = horizon(torch.tensor([1.0, 0.9, 0.8]))
    assert (result.lag, result.is_censored) == (2.0, True)
    assert str(result) == "at least 2"


def test_horizon_of_spaced_lags_is_exact_too() -> None:
    lags = torch.tensor([0, 1, 2, 5, 11, 30, 80])
    assert horizon(0.9 ** lags.double(), lags=lags).lag == pytest.approx(math.log(0.01) / math.log(0.9), rel=1e-12)


def test_curve_of_zeros_has_no_horizon() -> None:
    assert horizon(torch.zeros(5)).lag == 0


def test_curve_leaves_out_missing_lags() -> None:
    values = torch.tensor([[1.0, 1.0, 1.0], [0.2, 0.4, math.nan]])
    assert curve_of(values).median.tolist() == pytest.approx([1.0, 0.3])


def test_input_gradients_of_a_linear_recurrence_are_its_powers() -> None:
    """h_T = Σ_k W^k x_{T-k} and the loss is v·h_T, so the gradient at lag k is Wᵀ^k v."""
    torch.manual_seed(0)
    matrix = 0.5 * torch.randn(3, 3, dtype=torch.float64)
    readout = torch.randn(3, dtype=torch.float64)

    def losses(inputs: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(inputs.shape[1], 3, dtype=torch.float64)
        for x in inputs:
            state = state @ matrix.T + x
        return state @ readout

    norms = input_gradient_norms(losses, torch.randn(6, 2, 3, dtype=torch.float64))
    expected = [float(torch.linalg.matrix_power(matrix.T, k) @ readout @ (torch.linalg.matrix_power(matrix.T, k) @ readout)) ** 0.5 for k in range(6)]  # fmt: skip  # noqa: E501
    for row in range(2):
        assert norms[:, row].tolist() == pytest.approx(expected, rel=1e-12)


def test_input_gradients_equal_central_differences_through_a_layer() -> None:
    torch.manual_seed(0)
    layer = snn.LSTM(2, 4).double()
    inputs = torch.randn(7, 3, 2, dtype=torch.float64)

    def losses(x: torch.Tensor) -> torch.Tensor:
        return layer(x)[0][-1].square().sum(1)

    norms = input_gradient_norms(losses, inputs)
    epsilon = 1e-5
    with torch.no_grad():
        for lag in range(7):
            total = torch.zeros(3, dtype=torch.float64)
            for channel in range(2):
                shift = torch.zeros_like(inputs)
                shift[6 - lag, :, channel] = epsilon
                total += ((losses(inputs + shift) - losses(inputs - shift)) / (2 * epsilon)).square()
            assert (norms[lag] - total.sqrt()).abs().max() < 1e-8
