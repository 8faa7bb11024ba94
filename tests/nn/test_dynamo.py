"""Dynamo traces our layers, which are subclasses of PyTorch's, and still refuses PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._dynamo.exc import Unsupported
from torch._dynamo.variables import builder

import seriatim
from seriatim.nn.dynamo import register


def compiled(layer):
    torch._dynamo.reset()
    return torch.compile(nn.Sequential(layer), fullgraph=True, backend="eager")


def test_only_our_layers_are_allowed():
    x = torch.randn(5, 2, 3)
    layer = seriatim.nn.GRU(3, 4)
    torch.testing.assert_close(compiled(layer)(x), layer(x))
    with pytest.raises(Unsupported, match="RNN, GRU, or LSTM"):
        compiled(nn.GRU(3, 4))(x)
    assert not torch._dynamo.config.allow_rnn


def test_registration_after_dynamo_was_imported(monkeypatch):
    monkeypatch.setattr(builder.VariableBuilder, "wrap_module", builder.VariableBuilder.wrap_module)

    class Doubling(nn.GRU):
        def forward(self, x):
            return 2 * x

    x = torch.randn(5, 2, 3)
    with pytest.raises(Unsupported):
        compiled(Doubling(3, 4))(x)
    register(Doubling)
    assert torch.equal(compiled(Doubling(3, 4))(x), 2 * x)


def test_versions_without_these_internals_are_left_as_they_are(monkeypatch):
    monkeypatch.delattr(builder.VariableBuilder, "wrap_module")
    register(nn.GRU)
    assert not hasattr(builder.VariableBuilder, "wrap_module")
