"""Conversion between PyTorch's layers and cells and ours, and between our layers and cells."""

from __future__ import annotations

import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.nn.interchange import from_cells, from_torch, to_cells, to_torch

LAYERS = {
    "rnn": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu", "bias": False}),
    "lstm": ("LSTM", {"num_layers": 2, "bidirectional": True, "dropout": 0.25}),
    "projected": ("LSTM", {"proj_size": 2, "batch_first": True}),
    "gru": ("GRU", {"num_layers": 2, "bias": False}),
}
CELLS = {"rnn": ("RNNCell", {"nonlinearity": "relu"}), "lstm": ("LSTMCell", {"bias": False}), "gru": ("GRUCell", {})}
BOTH = {
    f"{name}-{part}": module for part, table in (("layer", LAYERS), ("cell", CELLS)) for name, module in table.items()
}


def close(result, expected, dtype):
    result, expected = (torch.cat([tensor.flatten() for tensor in flat(values)]) for values in (result, expected))
    return (result - expected).abs().max() < (2e-6 if dtype == torch.float32 else 1e-12)


def flat(values):
    return [values] if isinstance(values, torch.Tensor) else [tensor for item in values for tensor in flat(item)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", BOTH)
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_the_same_weights_and_outputs_both_ways(name, dtype):
    torch.manual_seed(1)
    kind, options = BOTH[name]
    theirs = getattr(torch.nn, kind)(4, 5, dtype=dtype, **options).eval()
    ours = from_torch(theirs)
    back = to_torch(ours)
    x = torch.randn(3, 4, dtype=dtype) if "cell" in name else torch.randn(3, 2, 4, dtype=dtype)
    assert type(ours) is getattr(nn, kind)
    assert type(back) is type(theirs)
    assert repr(back) == repr(theirs)
    assert not ours.training and not back.training
    assert close(ours(x), theirs(x), dtype)
    assert all(torch.equal(a, b) for a, b in zip(flat(back(x)), flat(theirs(x)), strict=True))
    with torch.no_grad():
        next(ours.parameters()).add_(1)
    assert torch.equal(next(back.parameters()), next(theirs.parameters())), "the weights are copies"


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.GRU(2, 3, reset_after=False), "reset_after=False has no place in torch.nn.GRU"),
        (nn.GRUCell(2, 3, reset_after=False), "reset_after=False has no place in torch.nn.GRUCell"),
        (nn.LSTM(2, 3, peephole=True), "peephole=True"),
        (nn.LSTM(2, 3, layer_norm=True), "layer_norm=True"),
        (nn.LSTMCell(2, 3, proj_size=2), "proj_size=2 has no place in torch.nn.LSTMCell"),
        (nn.RNN(2, 3, proj_size=2), "proj_size=2"),
        (nn.GRU(2, 3, proj_size=2), "proj_size=2"),
        (nn.RNN(2, 3, nonlinearity="sigmoid"), "nonlinearity=sigmoid"),
        (nn.LSTM(2, 3, zoneout=(0.1, 0.0)), r"zoneout=\(0.1, 0.0\)"),
        (nn.LSTM(2, 3, 2, locked_dropout=0.5), "locked_dropout=0.5 .*inference=True"),
        (nn.GRU(2, 3, recurrent_dropout=0.5), "recurrent_dropout=0.5 .*inference=True"),
        (torch.nn.Linear(2, 3), "got Linear, wanted an RNN"),
        (torch.nn.LSTM(2, 3), "got LSTM, wanted an RNN, LSTM or GRU of seriatim.nn"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value),
)
def test_option_that_pytorch_lacks_is_named(layer, named):
    with pytest.raises(UsageError, match=named):
        to_torch(layer)


def test_inference_leaves_out_training_options():
    layer = nn.LSTM(2, 3, 2, locked_dropout=0.5, recurrent_dropout=0.5).eval()
    x = torch.randn(4, 1, 2)
    assert close(to_torch(layer, inference=True)(x), layer(x), torch.float32)


def test_other_modules_and_computed_weights_are_refused():
    with pytest.raises(UsageError, match=r"module: got Linear, wanted an RNN, LSTM or GRU of torch.nn"):
        from_torch(torch.nn.Linear(2, 3))
    normed = torch.nn.utils.parametrizations.weight_norm(torch.nn.LSTM(2, 3), "weight_hh_l0")
    with pytest.raises(UsageError, match="parametrised: weight_hh_l0"):
        from_torch(normed)


VARIANTS = {
    "rnn": (nn.RNN, {"nonlinearity": "sigmoid", "proj_size": 2, "bidirectional": True}),
    "lstm": (nn.LSTM, {"peephole": True, "proj_size": 2}),
    "normalised": (nn.LSTM, {"layer_norm": True}),
    "gru": (nn.GRU, {"reset_after": False, "bidirectional": True}),
    "free": (nn.GRU, {"bias": False}),
    "projected": (nn.GRU, {"proj_size": 2}),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", VARIANTS)
def test_layer_and_its_cells_give_the_same_output(name, dtype):
    make, options = VARIANTS[name]
    layer = make(4, 5, 2, batch_first=True, dtype=dtype, **options)
    two = layer.bidirectional
    cells = to_cells(layer)
    assert len(cells) == (4 if two else 2)
    back = from_cells(cells, bidirectional=two, batch_first=True)
    assert repr(back) == repr(layer)
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in layer.state_dict().items())
    x = torch.randn(3, 1, 4, dtype=dtype)
    stepped = x[:, 0]
    for number in range(2):
        states = [cell(stepped) for cell in (cells[2 * number : 2 * number + 2] if two else [cells[number]])]
        stepped = torch.cat([state[0] if isinstance(state, tuple) else state for state in states], dim=1)
    assert close(stepped, layer(x)[0][:, 0], dtype)


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        ([], "cells: got 0"),
        ([nn.LSTMCell(2, 3), nn.LSTMCell(2, 3)], "layer 2 of the stack has input_size 2, wanted 3"),
        ([nn.LSTMCell(2, 3), nn.LSTMCell(3, 3, bias=False)], "layer 2 of the stack has bias False, wanted True"),
        ([nn.LSTMCell(2, 3), nn.GRUCell(3, 3)], "layer 2 of the stack has kind gru, wanted lstm"),
        ([nn.RNNCell(2, 3), nn.RNNCell(3, 3, dtype=torch.float64)], "got float32 and float64, wanted one dtype"),
        ([torch.nn.LSTMCell(2, 3)], "got LSTMCell, wanted RNNCell, LSTMCell or GRUCell of seriatim.nn"),
    ],
    ids=str,
)
def test_cells_that_form_no_stack_are_refused(cells, named):
    with pytest.raises(UsageError, match=named):
        from_cells(cells)


def test_two_directions_need_two_equal_cells():
    with pytest.raises(UsageError, match="cells: got 1, wanted 2 for each layer"):
        from_cells([nn.GRUCell(2, 3)], bidirectional=True)
    with pytest.raises(UsageError, match="wanted two alike"):
        from_cells([nn.GRUCell(2, 3), nn.GRUCell(2, 4)], bidirectional=True)


def test_dropout_of_a_layer_is_refused_for_cells():
    with pytest.raises(UsageError, match=r"dropout=0.5 has no place in a cell"):
        to_cells(nn.GRU(2, 3, 2, dropout=0.5))
    assert len(to_cells(nn.GRU(2, 3, 2, dropout=0.5), inference=True)) == 2
    with pytest.raises(UsageError, match=r"got torch.nn.modules.rnn.GRU, wanted an RNN, LSTM or GRU of seriatim.nn"):
        to_cells(torch.nn.GRU(2, 3))
