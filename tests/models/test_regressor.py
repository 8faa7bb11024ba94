"""Regressors: quantiles that never cross, a loss whose parts are each minimised by what they name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seriatim.models.classifier import Bag, InputSize, RecurrentClassifier
from seriatim.models.naive.constant import ConstantRegression
from seriatim.models.regressor import OUTPUTS, RegressionBatch, Regressor
from seriatim.notation import QUANTILES
from seriatim.tasks.options import RegressOptions

LENGTHS = torch.tensor([6, 1, 4])
INPUTS = torch.randn(6, 3, 2, generator=torch.Generator().manual_seed(0))


def make(model: str) -> Regressor:
    torch.manual_seed(0)
    size = InputSize(channels=2)
    if model == "bag":
        return Regressor(Bag(size, 4, OUTPUTS)).eval()
    return Regressor(RecurrentClassifier(replace(RegressOptions(), model=model, hidden=8), size, OUTPUTS, pool="last"))


@pytest.mark.parametrize("model", ["lstm", "bag"])
def test_padding_changes_nothing_and_quantiles_rise(model: str) -> None:
    network = make(model)
    with torch.no_grad():
        next(network.network.parameters()).mul_(5)
    together = network(INPUTS, LENGTHS)
    assert together.shape == (3, OUTPUTS)
    assert (together[:, 1:].diff(dim=-1) > 0).all()
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network(INPUTS[:length, row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-5, atol=1e-6)


def test_loss_by_hand() -> None:
    network, targets = make("gru"), torch.tensor([0.5, -1.0, 3.0])
    loss, carry = network.loss(RegressionBatch(INPUTS, LENGTHS, targets), ())
    actual = network(INPUTS, LENGTHS).detach().numpy()
    error = targets.numpy()[:, None] - actual
    pairs = [(level, miss) for row in error for level, miss in zip(QUANTILES, row[1:], strict=True)]
    pinball = [level * miss if miss > 0 else (level - 1) * miss for level, miss in pairs]
    assert float(loss.detach()) == pytest.approx(0.5 * np.mean(error[:, 0] ** 2) + np.mean(pinball), rel=1e-5)
    assert carry == ()


def test_equal_inputs_get_mean_and_quantiles_of_their_targets() -> None:
    targets = torch.linspace(0.001, 0.999, 400)
    targets = -torch.log1p(-targets)  # skewed: its mean is not its median
    batch = RegressionBatch(torch.ones(1, 400, 1), torch.ones(400, dtype=torch.int64), targets)
    torch.manual_seed(0)
    network = Regressor(Bag(InputSize(channels=1), 1, OUTPUTS))
    parameters = list(network.parameters())
    for _ in range(500):
        gradients = torch.autograd.grad(network.loss(batch, ())[0], parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= 0.2 * gradient
    constant = ConstantRegression()
    constant.fit(targets.numpy())
    actual = network(batch.inputs, batch.lengths)[0].detach().numpy()
    np.testing.assert_allclose(actual, constant.values, atol=0.03)
    assert constant.values[0] - constant.values[2] > 0.25


def test_constant_regression() -> None:
    first, second = ConstantRegression(), ConstantRegression()
    first.fit(np.array([1.0, 2.0, 3.0, 10.0]))
    assert first.values[0] == 4.0 and first.values[2] == 2.5
    second.load_state_dict(first.state_dict())
    np.testing.assert_array_equal(second.predictions(2), [first.values] * 2)
    with pytest.raises(ValueError, match="values: got"):
        first.load_state_dict({"values": np.zeros(2)})
