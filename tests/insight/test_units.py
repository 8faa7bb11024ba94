"""Saturated, dead and constant units."""

from __future__ import annotations

import pytest
import torch

from seriatim.insight.units import derivative, examine


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu"])
def test_derivative_equals_autograd(name: str) -> None:
    """Scaled by its largest value: 1 for tanh and relu, 1/4 for σ."""
    x = torch.linspace(-4, 4, 18, dtype=torch.float64, requires_grad=True)
    y = getattr(torch, name)(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(derivative(y.detach(), name), slope * (4 if name == "sigmoid" else 1))


def test_planted_units_are_found() -> None:
    torch.manual_seed(0)
    pre = torch.randn(100, 8, 4, dtype=torch.float64)
    pre[..., 1] = 8.0 * pre[..., 1].sign() + pre[..., 1]
    pre[..., 2] = 0.3
    result = examine(torch.tanh(pre), "tanh")
    assert result.saturated[1] > 0.95
    assert result.saturated[0] < 0.1
    assert result.is_constant.tolist() == [False, False, True, False]
    dead = pre.clone()
    dead[..., 3] = -dead[..., 3].abs() - 0.1
    assert examine(torch.relu(dead), "relu").is_dead.tolist() == [False, False, False, True]


def test_mean_derivative_of_a_working_unit() -> None:
    result = examine(torch.zeros(5, 3), "tanh")
    assert result.derivative.tolist() == [1.0, 1.0, 1.0]


def test_no_gradient_passes_an_rnn_of_dead_units() -> None:
    values = torch.zeros(5, 2)
    assert examine(values, "relu").is_dead.all()
    assert not examine(values, "tanh").is_dead.any()
