"""Integrated gradients: the axioms hold."""

from __future__ import annotations

import torch

import seriatim.nn as snn
from seriatim.insight.saliency import integrated_gradients


def test_attributions_sum_to_the_change_of_the_output() -> None:
    """Completeness: with 64 Gauss points the integral over a small LSTM is exact to 1e-9."""
    torch.manual_seed(0)
    layer = snn.LSTM(3, 8).double()
    x = torch.randn(12, 4, 3, dtype=torch.float64)

    def output(inputs: torch.Tensor) -> torch.Tensor:
        return layer(inputs)[0][-1].sum(1)

    result = integrated_gradients(output, x, points=64)
    with torch.no_grad():
        change = output(x) - output(torch.zeros_like(x))
    torch.testing.assert_close(result.values.sum((0, 2)), change, rtol=1e-9, atol=1e-9)
    assert result.gap.abs().max() < 1e-9
    assert result.by_step.shape == (12, 4)


def test_few_points_leave_a_gap_that_is_reported() -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(4, 2, 1, dtype=torch.float64)
    result = integrated_gradients(lambda v: torch.tanh(5 * v).sum((0, 2)), x, points=1)
    assert result.gap.abs().min() > 1e-2


def test_linear_output_has_its_terms_as_attributions() -> None:
    torch.manual_seed(0)
    weight = torch.randn(5, 1, 2, dtype=torch.float64)
    x, neutral = torch.randn(5, 3, 2, dtype=torch.float64), torch.full((2,), 0.5, dtype=torch.float64)
    result = integrated_gradients(lambda v: (weight * v).sum((0, 2)), x, neutral, points=2)
    torch.testing.assert_close(result.values, weight * (x - 0.5), rtol=1e-12, atol=1e-12)


def test_input_without_influence_gets_nothing() -> None:
    x = torch.randn(5, 3, 2, dtype=torch.float64)
    result = integrated_gradients(lambda v: v[-1].square().sum(1), x)
    assert not result.values[:-1].any()
