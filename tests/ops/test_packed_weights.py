"""No call uses weights that are not there any more, however they were changed."""

import copy
from functools import partial

import pytest
import torch

from seriatim import nn

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
INPUTS, UNITS = 85, 70  # w_ih of an LSTM is 95 kB in float32: 24 of the regions that are compared at a time
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def draw(make, dtype):
    torch.manual_seed(7)
    return make(INPUTS, UNITS, dtype=dtype), torch.randn(3, 2, INPUTS, dtype=dtype)


def by_data(weight, at):
    weight.data.view(-1)[at] += 0.5


def by_numpy(weight, at):
    weight.detach().view(-1).numpy()[at] -= 0.5


def edits(module, count=12):
    """Every parameter in its first and its last place and some others, once by each way."""
    for weight in module.parameters():
        last = weight.numel() - 1
        for number, at in enumerate({0, last, *torch.randint(last, (count,)).tolist()}):
            version = weight._version
            (by_data, by_numpy)[number % 2](weight, at)
            assert weight._version == version
            yield weight, at


def outcome(made):
    """The tensors of a layer's or a cell's outcome, one after another."""
    return [made] if isinstance(made, torch.Tensor) else [one for part in made for one in outcome(part)]


def same(one, other):
    return all(map(torch.equal, outcome(one), outcome(other)))


@torch.no_grad()
@pytest.mark.parametrize("name", LAYERS)
@DTYPES
def test_a_layer_sees_every_edit(name, dtype):
    layer, x = draw(LAYERS[name], dtype)
    before = layer(x)
    assert same(layer(x), before)
    changed = 0
    for weight, at in edits(layer, 4 if "two" in name else 12):
        found = layer(x)
        assert same(found, copy.deepcopy(layer)(x)), (weight.shape, at)
        changed += not same(found, before)
        before = found
    assert changed > 20  # or nothing was asked


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_a_layer_in_training_sees_every_edit(name):
    layer, x = draw(LAYERS[name], torch.float32)
    layer(x)
    for weight, at in edits(layer):
        fresh = copy.deepcopy(layer)
        found, wanted = layer(x), fresh(x)
        assert same(found, wanted), (weight.shape, at)
        gradients = [torch.autograd.grad(made[0].sum(), list(of.parameters())) for made, of in
                     ((found, layer), (wanted, fresh))]  # fmt: skip
        assert same(*gradients)


@torch.no_grad()
def test_weights_of_bfloat16():
    layer, x = draw(nn.GRU, torch.bfloat16)
    layer(x)
    for weight in layer.parameters():
        weight.data.view(-1)[-3] += 0.5
        assert same(layer(x), copy.deepcopy(layer)(x))


@torch.no_grad()
@pytest.mark.parametrize("name", CELLS)
@DTYPES
def test_a_cell_sees_every_edit_when_a_sequence_starts(name, dtype):
    cell, x = draw(CELLS[name], dtype)
    state = cell(x[0])
    first = tuple(part.clone() for part in state) if isinstance(state, tuple) else state.clone()
    for weight, at in edits(cell):
        if at % 2:  # from nothing, or from a state that this cell did not give just now
            found, wanted = cell(x[0]), copy.deepcopy(cell)(x[0])
        else:
            found, wanted = cell(x[1], first), copy.deepcopy(cell)(x[1], first)
        assert same(found, wanted), (weight.shape, at)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("trained", [False, True])
def test_a_cell_in_mid_sequence_sees_an_edit_after_some_steps(name, trained):
    cell, x = draw(CELLS[name], torch.float32)
    with torch.set_grad_enabled(trained):
        state = cell(x[0])
        for weight, at in edits(cell):
            regions = -(-weight.nbytes // (1 << 12))
            for _ in range(regions):
                state = cell(x[1], before := state)
            assert same(state, copy.deepcopy(cell)(x[1], before)), (weight.shape, at)


@pytest.mark.parametrize("batch_first", [False, True])
@torch.no_grad()
def test_a_layer_that_is_given_single_steps_is_like_a_cell(batch_first):
    layer, x = draw(partial(nn.GRU, num_layers=2, batch_first=batch_first), torch.float32)
    x, one = x[:, :1], x[:1, :1]
    if batch_first:
        x, one = x.transpose(0, 1), one.transpose(0, 1)
    _, state = layer(one)
    for weight, at in edits(layer, 2):
        assert same(layer(x, state), copy.deepcopy(layer)(x, state)), (weight.shape, at)  # of three steps
    for weight, at in edits(layer, 2):
        for _ in range(-(-weight.nbytes // (1 << 12))):
            state = layer(one, before := state)[1]
        assert same(state, copy.deepcopy(layer)(one, before)[1]), (weight.shape, at)


@torch.no_grad()
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_in_mid_sequence_sees_an_edit_at_once_when_told(name):
    cell, x = draw(CELLS[name], torch.float32)
    state = cell(x[0])
    for weight, at in edits(cell):
        torch.autograd.graph.increment_version(weight)
        state = cell(x[1], before := state)
        assert same(state, copy.deepcopy(cell)(x[1], before)), (weight.shape, at)


@torch.no_grad()
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_a_cell_in_mid_sequence_sees_what_is_done_to_a_whole_weight(name):
    cell, x = draw(CELLS[name], torch.float32)
    state = cell(x[0])
    for weight in cell.parameters():
        weight.data.mul_(0.9)
        state = cell(x[1], before := state)
        assert same(state, copy.deepcopy(cell)(x[1], before))


@torch.no_grad()
@pytest.mark.parametrize("make", [nn.LSTM, nn.LSTMCell])
def test_what_has_not_changed_is_not_packed_again(make, monkeypatch):
    module, x = draw(make, torch.float32)
    x = x if make is nn.LSTM else x[0]
    module(x)
    monkeypatch.setattr("seriatim.ops.packed_weights.pack", None)
    module(x)
    next(module.parameters()).data[3, 4] += 1
    with pytest.raises(TypeError, match="not callable"):
        module(x)
