"""Time constants of gates."""

from __future__ import annotations

import math

import pytest
import torch

import seriatim.nn as snn
from seriatim.insight.horizon import horizon
from seriatim.insight.jacobians import gain_by_lag, jacobians_backwards
from seriatim.insight.step import flat_step, trajectory
from seriatim.insight.time_constants import HORIZON_FACTOR, lru_retention, retention, time_constants

BIASES = {0: (1.44, 6.64), 1: (3.19, 14.7), 2: (7.88, 36.3), 3: (20.6, 94.8), 4: (55.1, 254), 5: (149, 686)}
"""Forget bias → time constant, horizon of 1 %."""


def constant_gate(bias: float) -> snn.LSTM:
    """An LSTM whose forget gate is σ(bias) at every step, and whose other weights are zero."""
    layer = snn.LSTM(2, 3).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[3:6] = bias
    return layer


@pytest.mark.parametrize("bias", BIASES)
def test_constant_forget_gate(bias: int) -> None:
    states = constant_gate(bias)(torch.randn(4, 2, 2).double(), return_states="all")[2]
    shares = retention("lstm", states)
    constants = time_constants(shares[0])
    tau, lag = BIASES[bias]
    assert constants.tolist() == pytest.approx([tau] * 3, rel=5e-3)
    assert (constants * HORIZON_FACTOR).tolist() == pytest.approx([lag] * 3, rel=5e-3)


@pytest.mark.parametrize("bias", [0, 1, 2])
def test_time_constant_agrees_with_the_jacobian(bias: int) -> None:
    """∂c_T/∂c_{T-k} = f^k, so the horizon of the Jacobians is τ ln 100 exactly."""
    step = flat_step(constant_gate(bias))
    inputs = torch.zeros(60, 1, 2, dtype=torch.float64)
    jacobians = jacobians_backwards(step, inputs, trajectory(step, inputs, step.zeros(1, inputs)))
    _, largest, _ = gain_by_lag(jacobian[:, 3:, 3:] for jacobian in jacobians)
    tau = -1 / math.log(1 / (1 + math.exp(-bias)))
    assert horizon(largest[:, 0]).lag == pytest.approx(tau * math.log(100), rel=1e-9)


@pytest.mark.parametrize("kind", ["gru", "mingru", "minlstm"])
def test_retention_is_the_derivative_by_the_old_state(kind: str) -> None:
    """The recurrent weights are zero, so the step's Jacobian is diagonal and holds the retained shares."""
    torch.manual_seed(0)
    layer = {"gru": snn.GRU, "mingru": snn.MinGRU, "minlstm": snn.MinLSTM}[kind](2, 3).double()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "_hh" in name:
                parameter.zero_()
    inputs = torch.randn(5, 1, 2, dtype=torch.float64)
    shares = retention(kind, layer(inputs, return_states="all")[2])
    step = flat_step(layer)
    _, largest, _ = gain_by_lag(jacobians_backwards(step, inputs, trajectory(step, inputs, step.zeros(1, inputs))))
    assert float(largest[-1, 0]) == pytest.approx(float(shares.prod(1).max()), rel=1e-10)


def test_lru_retention_is_its_modulus() -> None:
    layer = snn.LRU(2, 3).double()
    inputs = torch.zeros(4, 1, 2, dtype=torch.float64)
    step = flat_step(layer)
    _, largest, _ = gain_by_lag(jacobians_backwards(step, inputs, trajectory(step, inputs, step.zeros(1, inputs))))
    modulus = lru_retention(layer.decay_l0.detach())
    assert float(largest[-1, 0]) == pytest.approx(float(modulus.max() ** 4), rel=1e-9)


def test_extreme_gates() -> None:
    result = time_constants(torch.tensor([[1.0, 0.0], [1.0, 0.5]]))
    assert math.isinf(abs(result[0])) and result[1] == 0


def test_plain_rnn_has_no_retention() -> None:
    assert retention("rnn", {"h": torch.zeros(1)}) is None
