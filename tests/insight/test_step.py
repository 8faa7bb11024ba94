"""Recurrent modules as functions of one flat state: they compute what the modules compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import seriatim.nn as snn
from seriatim.errors import UsageError
from seriatim.insight.step import flat_cell, flat_step, trajectory

LAYERS = {
    "lstm": lambda: snn.LSTM(3, 4, num_layers=2),
    "gru": lambda: snn.GRU(3, 4, batch_first=True),
    "rnn": lambda: snn.RNN(3, 4),
    "projected lstm": lambda: snn.LSTM(3, 4, proj_size=2),
    "slstm": lambda: snn.SLSTM(3, 4),
    "mingru": lambda: snn.MinGRU(3, 4, num_layers=2),
    "minlstm": lambda: snn.MinLSTM(3, 4),
    "stacked": lambda: snn.Stacked([snn.GRU(3, 4), snn.GRU(4, 4)], "highway"),
    "torch lstm": lambda: nn.LSTM(3, 4, num_layers=2),
    "torch rnn": lambda: nn.RNN(3, 4, batch_first=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_flat_steps_equal_whole_layer(name: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    step = flat_step(layer)
    final = trajectory(step, x, step.zeros(2, x))[-1]
    batch_first = getattr(layer, "batch_first", False)
    _, state = layer(x.transpose(0, 1) if batch_first else x)
    parts = [state] if isinstance(state, torch.Tensor) else state
    expected = torch.cat(list(parts), 2).transpose(0, 1).reshape(2, -1)
    torch.testing.assert_close(final, expected, rtol=1e-12, atol=1e-12)


def test_lru_state_leaves_out_h() -> None:
    torch.manual_seed(0)
    layer = snn.LRU(3, 4).double()
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    step = flat_step(layer)
    assert step.size == 8
    _, (_, re, im) = layer(x)
    final = trajectory(step, x, step.zeros(2, x))[-1]
    torch.testing.assert_close(final, torch.cat([re[0], im[0]], 1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: snn.LSTMCell(3, 4),
        lambda: snn.GRUCell(3, 4),
        lambda: nn.LSTMCell(3, 4),
        lambda: nn.RNNCell(3, 4),
        lambda: snn.cell(lambda x, h, w: torch.tanh(x @ w.T + h), weights={"w": ("H", "I")})(3, 4),
    ],
    ids=["lstm", "gru", "torch lstm", "torch rnn", "own"],
)
def test_flat_cell_equals_cell(make) -> None:
    torch.manual_seed(0)
    cell = make().double()
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    step = flat_cell(cell)
    final = trajectory(step, x, step.zeros(2, x))[-1]
    call, state = getattr(cell, "step", cell), None
    for t in range(len(x)):
        state = call(x[t], state)
    expected = state if isinstance(state, torch.Tensor) else torch.cat(state, 1)
    torch.testing.assert_close(final, expected, rtol=1e-12, atol=1e-12)


def test_bidirectional_layer_is_refused() -> None:
    with pytest.raises(UsageError, match="bidirectional"):
        flat_step(snn.GRU(3, 4, bidirectional=True))
