"""Batched gradients (``is_grads_batched``, ``jacobian(vectorize=True)``) of every cell and way to the engine.

Compared with one gradient after the other, in float64 to 1e-12, and checked by ``gradcheck``.
"""

from __future__ import annotations

import contextlib

import pytest
import torch
from torch.autograd.functional import jacobian

from seriatim import nn
from seriatim.kernels import native
from seriatim.ops import autograd
from seriatim.ops.recurrence import using

pytestmark = pytest.mark.skipif(not native.available(), reason="the engine is not built")

LAYERS = {
    "RNN": (nn.RNN, {}, {}), "GRU": (nn.GRU, {"num_layers": 2, "bidirectional": True}, {}), "LSTM": (nn.LSTM, {}, {}),
    "peephole": (nn.LSTM, {"peephole": True}, {}), "layer norm": (nn.LSTM, {"layer_norm": True}, {}),
    "projected": (nn.LSTM, {"proj_size": 2}, {}), "projected GRU": (nn.GRU, {"proj_size": 2}, {}),
    "zoneout": (nn.LSTM, {"zoneout": 0.5}, {}), "lengths": (nn.GRU, {}, {"lengths": [3, 2]}),
    "states": (nn.LSTM, {}, {"return_states": "all"}), "MinGRU": (nn.MinGRU, {}, {}), "MinLSTM": (nn.MinLSTM, {}, {}),
    "LRU": (nn.LRU, {}, {}), "SLSTM": (nn.SLSTM, {}, {}),
}  # fmt: skip


def function(name):
    layer_class, options, call = LAYERS[name]
    torch.manual_seed(1)
    layer = layer_class(3, 4, dtype=torch.float64, **options)

    def run(x):
        torch.manual_seed(2)
        return layer(x, **call)[0]

    return run, torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("name", LAYERS)
def test_vectorised_jacobian(name):
    run, x = function(name)
    torch.testing.assert_close(jacobian(run, x, vectorize=True), jacobian(run, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("row", ["eager", "native", "composed"])
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_rows_of_the_table(name, row):
    run, x = function(name)
    with using(row):
        torch.testing.assert_close(jacobian(run, x, vectorize=True), jacobian(run, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("context", ["hooks", "autocast", "operator"])
def test_ways_off_the_fast_path(name, context, monkeypatch):
    run, x = function(name)
    contexts = {
        "hooks": lambda: torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor),
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "operator": lambda: using("native"),
    }
    if context == "operator":
        monkeypatch.setattr(autograd, "are_exact", lambda tensors: False)

    def call(x):
        with contexts[context]():
            return run(x)

    torch.testing.assert_close(jacobian(call, x, vectorize=True), jacobian(call, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "MinGRU", "LRU", "SLSTM"])
@pytest.mark.parametrize("row", [None, "native"])
def test_gradcheck(name, row):
    run, x = function(name)
    if row and name in ("MinGRU", "LRU"):
        pytest.skip("no native row")
    with using(row) if row else contextlib.nullcontext():
        assert torch.autograd.gradcheck(run, x, check_batched_grad=True, fast_mode=True)
        assert torch.autograd.gradgradcheck(run, x, check_batched_grad=True, fast_mode=True)
