"""Every call uses the current weights, however they were changed."""

from __future__ import annotations

import copy
import gc
from functools import partial

import pytest
import torch

from ops.layer_cases import CLOSE, sequences
from seriatim import nn
from seriatim.kernels import native as kernels
from seriatim.ops import packed_weights
from seriatim.ops.recurrence import using

needs_engine = pytest.mark.skipif(not kernels.available(), reason="the engine is not built")

LAYERS = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "two layers both ways": partial(nn.LSTM, num_layers=2, bidirectional=True),
    "reset before": partial(nn.GRU, reset_after=False),
    "peephole": partial(nn.LSTM, peephole=True),
    "projection": partial(nn.LSTM, proj_size=20),
    "layer norm": partial(nn.LSTM, layer_norm=True),
}
CELLS = {
    "rnn": nn.RNNCell,
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "reset before": partial(nn.GRUCell, reset_after=False),
    "peephole": partial(nn.LSTMCell, peephole=True),
    "projection": partial(nn.LSTMCell, proj_size=20),
}
INPUTS, UNITS = 85, 70  # w_ih of an LSTM is 95 kB in float32: 24 of the regions that one step compares
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def draw(make, dtype):
    torch.manual_seed(7)
    return make(INPUTS, UNITS, dtype=dtype), torch.randn(3, 2, INPUTS, dtype=dtype)


def by_data(weight, at):
    weight.data.view(-1)[at] += 0.5


def by_numpy(weight, at):
    weight.detach().view(-1).numpy()[at] -= 0.5


def edits(module, count=12):
    """Edit each parameter at its first, its last and some random places, in two ways by turns."""
    for weight in module.parameters():
        last = weight.numel() - 1
        for number, at in enumerate({0, last, *torch.randint(last, (count,)).tolist()}):
            version = weight._version
            (by_data, by_numpy)[number % 2](weight, at)
            assert weight._version == version
            yield weight, at


def tensors_of(result):
    """All tensors of a result, in one list."""
    return [result] if isinstance(result, torch.Tensor) else [tensor for part in result for tensor in tensors_of(part)]


def is_equal(first, second):
    return all(map(torch.equal, tensors_of(first), tensors_of(second)))


@torch.no_grad()
@pytest.mark.parametrize("name", LAYERS)
@DTYPES
def test_layer_notices_every_edit(name, dtype):
    layer, x = draw(LAYERS[name], dtype)
    previous = layer(x)
    assert is_equal(layer(x), previous)
    changed = 0
    for weight, at in edits(layer, 4 if "two" in name else 12):
        actual = layer(x)
        assert is_equal(actual, copy.deepcopy(layer)(x)), (weight.shape, at)
        changed += not is_equal(actual, previous)
        previous = actual
    assert changed > 20  # otherwise the test would prove nothing


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_training_layer_notices_every_edit(name):
    layer, x = draw(LAYERS[name], torch.float32)
    layer(x)
    for weight, at in edits(layer):
        fresh = copy.deepcopy(layer)
        actual, expected = layer(x), fresh(x)
        assert is_equal(actual, expected), (weight.shape, at)
        gradients = [torch.autograd.grad(result[0].sum(), list(module.parameters())) for result, module in
                     ((actual, layer), (expected, fresh))]  # fmt: skip
        assert is_equal(*gradients)


@torch.no_grad()
def test_weights_of_bfloat16():
    layer, x = draw(nn.GRU, torch.bfloat16)
    layer(x)
    for weight in layer.parameters():
        weight.data.view(-1)[-3] += 0.5
        assert is_equal(layer(x), copy.deepcopy(layer)(x))


@torch.no_grad()
@pytest.mark.parametrize("name", CELLS)
@DTYPES
def test_cell_notices_every_edit_at_sequence_start(name, dtype):
    cell, x = draw(CELLS[name], dtype)
    state = cell(x[0])
    first = tuple(part.clone() for part in state) if isinstance(state, tuple) else state.clone()
    for weight, at in edits(cell):
        if at % 2:  # without a state, or from a state that is not the last one of this cell
            actual, expected = cell(x[0]), copy.deepcopy(cell)(x[0])
        else:
            actual, expected = cell(x[1], first), copy.deepcopy(cell)(x[1], first)
        assert is_equal(actual, expected), (weight.shape, at)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("trained", [False, True])
def test_cell_notices_an_edit_after_some_steps(name, trained):
    cell, x = draw(CELLS[name], torch.float32)
    with torch.set_grad_enabled(trained):
        state = cell(x[0])
        for weight, at in edits(cell):
            regions = -(-weight.nbytes // (1 << 12))
            for _ in range(regions):
                state = cell(x[1], previous := state)
            assert is_equal(state, copy.deepcopy(cell)(x[1], previous)), (weight.shape, at)


@pytest.mark.parametrize("batch_first", [False, True])
@torch.no_grad()
def test_layer_in_single_steps_behaves_like_a_cell(batch_first):
    layer, x = draw(partial(nn.GRU, num_layers=2, batch_first=batch_first), torch.float32)
    x, step = x[:, :1], x[:1, :1]
    if batch_first:
        x, step = x.transpose(0, 1), step.transpose(0, 1)
    _, state = layer(step)
    for weight, at in edits(layer, 2):
        assert is_equal(layer(x, state), copy.deepcopy(layer)(x, state)), (weight.shape, at)  # three steps
    for weight, at in edits(layer, 2):
        for _ in range(-(-weight.nbytes // (1 << 12))):
            state = layer(step, previous := state)[1]
        assert is_equal(state, copy.deepcopy(layer)(step, previous)[1]), (weight.shape, at)


@torch.no_grad()
@pytest.mark.parametrize("name", CELLS)
def test_raised_version_is_noticed_at_once(name):
    cell, x = draw(CELLS[name], torch.float32)
    state = cell(x[0])
    for weight, at in edits(cell):
        torch.autograd.graph.increment_version(weight)
        state = cell(x[1], previous := state)
        assert is_equal(state, copy.deepcopy(cell)(x[1], previous)), (weight.shape, at)


@torch.no_grad()
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_change_of_a_whole_weight_is_noticed_at_once(name):
    cell, x = draw(CELLS[name], torch.float32)
    state = cell(x[0])
    for weight in cell.parameters():
        weight.data.mul_(0.9)
        state = cell(x[1], previous := state)
        assert is_equal(state, copy.deepcopy(cell)(x[1], previous))


@torch.no_grad()
@pytest.mark.parametrize("make", [nn.LSTM, nn.LSTMCell])
def test_unchanged_weights_are_not_packed_again(make, monkeypatch):
    module, x = draw(make, torch.float32)
    x = x if make is nn.LSTM else x[0]
    module(x)
    monkeypatch.setattr("seriatim.ops.packed_weights.pack", None)
    module(x)
    next(module.parameters()).data[3, 4] += 1
    with pytest.raises(TypeError, match="not callable"):
        module(x)


@needs_engine
@pytest.mark.parametrize("change", [
    lambda weight: weight.mul_(2), lambda weight: weight.data.mul_(2),
    lambda weight: setattr(weight, "data", weight.data * 2),
])  # fmt: skip
@torch.no_grad()
def test_packing_follows_its_weights(layer, change):
    cell = nn.GRUCell(3, 4, dtype=torch.float64)
    x = sequences()
    layer(x), cell(x[0])
    change(layer.weight_hh_l0), change(cell.weight_ih)
    actual = layer(x)[0], cell(x[0])
    with using("composed"):
        torch.testing.assert_close(actual, (layer(x)[0], cell(x[0])), **CLOSE)


@needs_engine
@torch.no_grad()
def test_packing_is_deleted_with_its_weights():
    keys = set(packed_weights._cache)
    layer = nn.GRU(3, 4, reset_after=False)
    layer(torch.randn(5, 2, 3)), layer(torch.randn(5, 2, 3))
    (key,) = set(packed_weights._cache) - keys  # other tests may leave entries that are deleted later
    del layer
    gc.collect()
    assert key not in packed_weights._cache


@needs_engine
@torch.inference_mode()
def test_weights_without_version_are_packed_again():
    cell = nn.GRUCell(3, 4)
    original = cell(torch.ones(1, 3))
    cell.weight_ih.zero_()
    assert not torch.equal(cell(torch.ones(1, 3)), original)
