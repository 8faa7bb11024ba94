"""Traced and exported layers: they train whether or not a gradient was recorded, and keep T dynamic.

Compared with the layer itself, in float64.
"""

from __future__ import annotations

import pytest
import torch

from seriatim import nn
from seriatim.kernels import native

pytestmark = [
    pytest.mark.skipif(not native.available(), reason="the engine is not built"),
    pytest.mark.filterwarnings("ignore"),  # torch.jit is deprecated
]

CLOSE = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(params=["RNN", "GRU", "LSTM"])
def layer(request):
    torch.manual_seed(1)
    return getattr(nn, request.param)(3, 4, num_layers=2, dtype=torch.float64)


@pytest.fixture
def x():
    torch.manual_seed(2)
    return torch.randn(5, 2, 3, dtype=torch.float64)


def gradients(module, x):
    loss = module(x)[0].square().sum()
    return dict(zip(dict(module.named_parameters()), torch.autograd.grad(loss, list(module.parameters())), strict=True))


@pytest.mark.parametrize("grad", [True, False])
def test_traced_layer_passes_the_default_check_and_trains(layer, x, grad):
    with torch.set_grad_enabled(grad):
        traced = torch.jit.trace(layer, (x,))
    torch.testing.assert_close(gradients(traced, x), gradients(layer, x), **CLOSE)


@pytest.mark.parametrize("grad", [True, False])
def test_exported_layer_trains(layer, x, grad):
    with torch.set_grad_enabled(grad):
        exported = torch.export.export(layer, (x,)).module()
    torch.testing.assert_close(gradients(exported, x), gradients(layer, x), **CLOSE)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "MinGRU", "SLSTM"])
def test_exported_layer_takes_any_number_of_steps(name, x):
    layer = getattr(nn, name)(3, 4, dtype=torch.float64)
    shapes = ({0: torch.export.Dim("T", min=2, max=64)},)
    exported = torch.export.export(layer, (x,), dynamic_shapes=shapes).module()
    for steps in (3, 9):
        other = torch.randn(steps, 2, 3, dtype=torch.float64)
        torch.testing.assert_close(exported(other), layer(other), **CLOSE)
