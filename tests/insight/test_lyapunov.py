"""The Lyapunov spectrum where it is known exactly."""

from __future__ import annotations

import math

import pytest
import torch

import seriatim.nn as snn
from seriatim.insight.jacobians import jacobians_backwards
from seriatim.insight.lyapunov import lyapunov_spectrum, spectrum_of
from seriatim.insight.step import flat_cell, flat_step, trajectory


def zeros(steps: int, rows: int = 1) -> torch.Tensor:
    return torch.zeros(steps, rows, 1, dtype=torch.float64)


def test_linear_network_with_real_eigenvalues_has_their_logarithms() -> None:
    """The matrix is not normal: the directions have to turn first, which 300 steps do to rounding."""
    torch.manual_seed(0)
    basis = torch.randn(4, 4, dtype=torch.float64)
    values = torch.tensor([1.2, -0.9, 0.5, 0.2], dtype=torch.float64)
    matrix = basis @ torch.diag(values) @ torch.linalg.inv(basis)
    spectrum = lyapunov_spectrum(lambda x, s: s @ matrix.T, zeros(400), torch.zeros(1, 4).double(), warmup=300)
    assert spectrum.exponents[0].tolist() == pytest.approx(values.abs().log().tolist(), abs=1e-10)
    assert spectrum.drift < 1e-10


def test_linear_layer_with_a_rotation_has_the_logarithm_of_its_modulus() -> None:
    """A relu network that stays above zero is linear. Its eigenvalues are 0.8 e^{±iφ}: both exponents are ln 0.8."""
    angle = 0.2
    layer = snn.RNN(1, 2, nonlinearity="relu").double()
    with torch.no_grad():
        layer.weight_hh_l0.copy_(
            0.8 * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
        )
        layer.bias_ih_l0.fill_(10.0)
    state = torch.tensor([[20.0, 20.0]], dtype=torch.float64)
    spectrum = lyapunov_spectrum(flat_step(layer), zeros(200), state)
    assert spectrum.exponents[0].tolist() == pytest.approx([math.log(0.8)] * 2, abs=1e-7)


def test_fresh_gaussian_matrices_have_newmans_spectrum() -> None:
    """Newman 1986: for products of N x N matrices with independent entries N(0, g²/N),

        λ_i = ln(g / √N) + ½ [ln 2 + ψ((N - i + 1) / 2)].

    ln R_ii is ½ ln of a chi-square with N - i + 1 degrees of freedom, so its deviation is ½ √ψ'((N - i + 1)/2) and the
    tolerance is four standard errors of the mean over rows and steps.
    """
    size, steps, rows, gain = 4, 1000, 20, 1.5
    torch.manual_seed(0)
    inputs = gain / size**0.5 * torch.randn(steps, rows, size * size, dtype=torch.float64)

    def step(x: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return (x.view(-1, size, size) @ s.unsqueeze(2)).squeeze(2)

    spectrum = lyapunov_spectrum(step, inputs, torch.zeros(rows, size).double())
    half = (size - torch.arange(size, dtype=torch.float64)) / 2
    expected = math.log(gain / size**0.5) + 0.5 * (math.log(2) + torch.special.digamma(half))
    error = 0.5 * torch.special.polygamma(1, half).sqrt() / (steps * rows) ** 0.5
    assert ((spectrum.exponents.mean(0) - expected).abs() < 4 * error).all()


def henon() -> snn.Cell:
    """x' = 1 - 1.4 x² + y, y' = 0.3 x (Hénon 1976), as a user writes a cell."""
    cell = snn.cell(
        lambda x, h, a: torch.stack([1 - a * h[:, 0] ** 2 + h[:, 1], 0.3 * h[:, 0]], 1), weights={"a": (1,)}
    )(1, 2).double()
    with torch.no_grad():
        cell.a.fill_(1.4)
    return cell


def test_henon_map_as_a_cell() -> None:
    """λ_1 = 0.419 (Wolf 1985; Sprott 2003), and each step shrinks areas by exactly 0.3."""
    torch.manual_seed(0)
    rows, steps = 40, 1000
    start = 0.1 * torch.rand(rows, 2, dtype=torch.float64)
    spectrum = lyapunov_spectrum(flat_cell(henon()), zeros(steps + 100, rows), start, warmup=100)
    assert (spectrum.exponents.sum(1) - math.log(0.3)).abs().max() < 1e-12
    assert float(spectrum.exponents[:, 0].mean()) == pytest.approx(0.419, abs=0.003)


@pytest.mark.parametrize(
    "make",
    [lambda: snn.RNN(2, 3), lambda: snn.GRU(2, 3, num_layers=2), lambda: snn.LSTM(2, 3), lambda: snn.MinGRU(2, 3)],
    ids=["rnn", "gru", "lstm", "mingru"],
)
def test_sum_of_exponents_is_mean_log_determinant(make) -> None:
    torch.manual_seed(0)
    step = flat_step(make().double())
    inputs = torch.randn(60, 2, 2, dtype=torch.float64)
    spectrum = lyapunov_spectrum(step, inputs, step.zeros(2, inputs), warmup=10)
    torch.testing.assert_close(spectrum.exponents.sum(1), spectrum.log_determinant, rtol=1e-10, atol=1e-10)


def test_adjoint_has_the_same_spectrum() -> None:
    """Transposed Jacobians in reversed order; both means are over finite time and agree to a few directions' drift."""
    torch.manual_seed(0)
    step = flat_step(snn.RNN(2, 4).double())
    inputs = torch.randn(1500, 1, 2, dtype=torch.float64)
    forward = lyapunov_spectrum(step, inputs, step.zeros(1, inputs))
    states = trajectory(step, inputs, step.zeros(1, inputs))
    backward = spectrum_of(jacobian.mT for jacobian in jacobians_backwards(step, inputs, states))
    assert backward.exponents[0].tolist() == pytest.approx(forward.exponents[0].tolist(), abs=5e-3)


def test_few_exponents_are_the_largest() -> None:
    torch.manual_seed(0)
    step = flat_step(snn.GRU(2, 6).double())
    inputs = torch.randn(400, 1, 2, dtype=torch.float64)
    whole = lyapunov_spectrum(step, inputs, step.zeros(1, inputs), warmup=100)
    largest = lyapunov_spectrum(step, inputs, step.zeros(1, inputs), 2, warmup=100)
    assert largest.exponents[0].tolist() == pytest.approx(whole.exponents[0, :2].tolist(), abs=5e-3)
    assert whole.history.shape == (300, 1, 6)
