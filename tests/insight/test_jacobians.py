"""Jacobians against central differences, and their products against differentiation through all steps."""

from __future__ import annotations

import pytest
import torch

import seriatim.nn as snn
from seriatim.insight.jacobians import gain_by_lag, jacobians_backwards, products, singular_values, step_jacobian
from seriatim.insight.step import FlatStep, flat_step, trajectory

LAYERS = {
    "rnn tanh": lambda: snn.RNN(3, 4),
    "lstm": lambda: snn.LSTM(3, 4, num_layers=2),
    "lstm peephole": lambda: snn.LSTM(3, 4, peephole=True, layer_norm=True),
    "gru": lambda: snn.GRU(3, 4, reset_after=False),
    "slstm": lambda: snn.SLSTM(3, 4),
    "mingru": lambda: snn.MinGRU(3, 4),
    "lru": lambda: snn.LRU(3, 4),
    "own cell": lambda: snn.Recurrent(
        snn.cell(lambda x, h, u: torch.tanh(x.sum(1, keepdim=True) + h @ u.T), weights={"u": ("H", "H")}), 3, 4
    ),
}


def problem(name: str) -> tuple[FlatStep, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    step = flat_step(layer)
    inputs = torch.randn(5, 2, 3, dtype=torch.float64)
    return step, inputs, trajectory(step, inputs, step.zeros(2, inputs))


@pytest.mark.parametrize("name", LAYERS)
def test_step_jacobian_equals_central_differences(name: str) -> None:
    """Central differences with ε = 1e-5 have an error of ε² in theory and of 1e-16 / ε by rounding, so below 1e-8."""
    step, inputs, states = problem(name)
    x, state = inputs[-1], states[-2]
    jacobian = step_jacobian(step, x, state)
    epsilon = 1e-5
    with torch.no_grad():
        for column in range(step.size):
            shift = torch.zeros_like(state)
            shift[:, column] = epsilon
            difference = (step(x, state + shift) - step(x, state - shift)) / (2 * epsilon)
            assert (jacobian[:, :, column] - difference).abs().max() < 1e-8


def test_comparison_with_differences_can_fail() -> None:
    step, inputs, states = problem("lstm")
    jacobian = step_jacobian(step, inputs[-1], states[-2])
    other = step_jacobian(step, inputs[-1], states[-3])
    assert (jacobian - other).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["lstm", "gru", "slstm"])
def test_product_equals_derivative_through_all_steps(name: str) -> None:
    step, inputs, states = problem(name)

    def run(state: torch.Tensor) -> torch.Tensor:
        for x in inputs[2:]:
            state = step(x[:1], state)
        return state

    whole = torch.autograd.functional.jacobian(run, states[2, :1])[0, :, 0]
    third = list(products(step, inputs, states))[2]
    torch.testing.assert_close(third[0], whole, rtol=1e-10, atol=1e-12)


def test_linear_step_has_its_matrix_as_jacobian() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(4, 4, dtype=torch.float64)
    jacobian = step_jacobian(lambda x, s: s @ matrix.T + x, torch.zeros(3, 4).double(), torch.randn(3, 4).double())
    torch.testing.assert_close(jacobian, matrix.expand(3, 4, 4), rtol=0, atol=0)


def test_step_that_ignores_its_state_has_zero_jacobian() -> None:
    assert not step_jacobian(lambda x, s: x, torch.ones(2, 3), torch.ones(2, 3)).any()


def test_gain_of_a_rotation_stays_one_and_of_a_scaling_falls() -> None:
    rotation = torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)
    matrix = torch.block_diag(rotation, 0.5 * torch.eye(2, dtype=torch.float64))
    inputs = torch.zeros(6, 1, 1, dtype=torch.float64)
    states = torch.zeros(7, 1, 4, dtype=torch.float64)
    jacobians = list(jacobians_backwards(lambda x, s: s @ matrix.T, inputs, states))
    lags, turned, _ = gain_by_lag(matrix_[:, :2, :2] for matrix_ in jacobians)
    assert lags.tolist() == list(range(7))
    torch.testing.assert_close(turned[:, 0], torch.ones(7, dtype=torch.float64))
    lags, shrunk, median = gain_by_lag((matrix_[:, 2:, 2:] for matrix_ in jacobians), {1, 4})
    assert lags.tolist() == [0, 1, 4]
    torch.testing.assert_close(shrunk[:, 0], 0.5 ** lags.double())
    torch.testing.assert_close(median, shrunk)


def test_singular_values_are_sorted() -> None:
    values = singular_values(torch.diag(torch.tensor([1.0, -5.0, 2.0], dtype=torch.float64)))
    assert values.tolist() == pytest.approx([5, 2, 1])
