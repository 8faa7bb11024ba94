"""Layers, inputs and losses that several tests share."""

from __future__ import annotations

import torch

from seriatim import nn

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
VARIANTS = {
    "rnn": (nn.RNN, {}), "lstm": (nn.LSTM, {"peephole": True, "proj_size": 2}), "gru": (nn.GRU, {"reset_after": False}),
    "normalised": (nn.LSTM, {"layer_norm": True}), "exponential": (nn.SLSTM, {}),
}  # fmt: skip


def loss(layer, x, **options):
    """A loss that depends on the output and on all final states."""
    output, state = layer(x, **options)
    final = state if isinstance(state, tuple) else (state,)
    return output.square().sum() + sum(part.sin().sum() for part in final)


def gradients(layer, x, **options):
    """The gradients of the loss: of x and of all parameters."""
    return torch.autograd.grad(loss(layer, x, **options), [x, *layer.parameters()])


def sequences(*shape, **options):
    """Random float64 input, the same at each call."""
    torch.manual_seed(2)
    return torch.randn(*(shape or (5, 2, 3)), dtype=torch.float64, **options)
