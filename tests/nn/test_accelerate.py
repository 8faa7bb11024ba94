"""PyTorch's layers are replaced by ours with the same weights, and what cannot be is left with a reason."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import seriatim
from seriatim.nn import LSTM
from seriatim.nn import accelerate as accelerate_function


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.25, bidirectional=True, proj_size=2)
        self.blocks = nn.ModuleList([nn.GRU(4, 5), nn.RNN(5, 4, nonlinearity="relu", bias=False)])
        self.cells = nn.ModuleDict({"lstm": nn.LSTMCell(4, 4), "gru": nn.GRUCell(4, 4), "rnn": nn.RNNCell(4, 4, False)})
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        x, _ = self.encoder(x)
        for block in self.blocks:
            x, _ = block(x)
        h = self.cells["gru"](x[0], self.cells["rnn"](x[0]))
        return self.head(self.cells["lstm"](h)[0])


@pytest.fixture
def model():
    torch.manual_seed(1)
    return Model().double()


def test_the_same_numbers_from_the_same_parameters(model):
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    model.eval()
    before, parameters, keys = model(x), dict(model.named_parameters()), list(model.state_dict())
    report = seriatim.accelerate(model)
    assert report.model is model
    assert set(report.changed) == {"encoder", "blocks.0", "blocks.1", "cells.lstm", "cells.gru", "cells.rnn"}
    assert report.left == {}
    assert all(type(one).__module__.startswith(("seriatim", "torch.nn.modules.container")) for one in (
        model.encoder, model.blocks[0], model.cells["rnn"]))  # fmt: skip
    assert dict(model.named_parameters()).keys() == parameters.keys()
    assert all(now is parameters[name] for name, now in model.named_parameters())
    assert list(model.state_dict()) == keys
    torch.testing.assert_close(model(x), before, rtol=1e-12, atol=1e-12)


def test_options_and_mode_are_kept(model):
    model.eval()
    model.blocks[0].train()
    seriatim.accelerate(model)
    one = model.encoder
    assert (one.num_layers, one.batch_first, one.dropout, one.bidirectional, one.proj_size) == (2, True, 0.25, True, 2)
    assert model.blocks[1].nonlinearity == "relu"
    assert not model.blocks[1].bias
    assert [one.training for one in (model.encoder, model.blocks[0])] == [False, True]


def test_twice_is_once(model):
    seriatim.accelerate(model)
    modules = list(model.modules())
    again = seriatim.accelerate(model)
    assert (again.changed, again.left) == ({}, {})
    assert all(now is then for now, then in zip(model.modules(), modules, strict=True))
    assert str(again) == "nothing to accelerate: no recurrent layer of torch.nn"


def test_the_model_itself():
    report = accelerate_function(nn.GRU(3, 4))
    assert type(report.model) is seriatim.nn.GRU
    assert str(report) == "1 changed, 0 left\nchanged  (model)  GRU(3, 4)"


def test_a_module_in_two_places_stays_one():
    shared = nn.GRU(4, 4)
    model = nn.ModuleDict({"first": shared, "second": shared, "within": nn.ModuleList([shared])})
    seriatim.accelerate(model)
    assert model["first"] is model["second"] is model["within"][0]
    assert type(model["first"]) is seriatim.nn.GRU


def test_hooks_and_attributes_are_kept():
    model = nn.Sequential(nn.LSTM(2, 3))
    seen = []
    handle = model[0].register_forward_hook(lambda module, given, output: seen.append(type(module)))
    model[0].note = "mine"
    seriatim.accelerate(model)
    model(torch.randn(4, 1, 2))
    assert seen == [LSTM]
    assert model[0].note == "mine"
    handle.remove()
    model(torch.randn(4, 1, 2))
    assert len(seen) == 1


class Odd(nn.GRU):
    """Some user's own."""


def test_what_is_left_says_why():
    replaced = nn.GRU(2, 3)
    replaced.forward = lambda x: x
    model = nn.ModuleDict({
        "odd": Odd(2, 3),
        "normed": weight_norm(nn.LSTM(2, 3), "weight_hh_l0"),
        "replaced": replaced,
        "halved": nn.RNN(2, 3, dtype=torch.float16),
        "fine": nn.GRUCell(2, 3),
    })  # fmt: skip
    before = {name: model[name] for name in ("odd", "normed", "replaced", "halved")}
    report = seriatim.accelerate(model)
    assert set(report.changed) == {"fine"}
    assert report.left == {
        "odd": "Odd is a subclass of GRU and may compute something else",
        "normed": "parametrised: weight_hh_l0",
        "replaced": "its forward was replaced",
        "halved": "it is of float16",
    }
    assert all(model[name] is one for name, one in before.items())
    assert str(report).splitlines() == [
        "1 changed, 4 left",
        "changed  fine      GRUCell(2, 3)",
        "left     odd       Odd is a subclass of GRU and may compute something else",
        "left     normed    parametrised: weight_hh_l0",
        "left     replaced  its forward was replaced",
        "left     halved    it is of float16",
    ]


def test_weights_made_by_a_hook_are_left():
    layer = nn.LSTM(2, 3)
    del layer.weight_hh_l0
    layer.weight_hh_l0 = torch.zeros(12, 3)  # as the older weight norm does before each call
    assert seriatim.accelerate(nn.Sequential(layer)).left == {"0": "no plain parameter: weight_hh_l0"}


def test_no_random_number_is_drawn(model):
    before = torch.get_rng_state()
    seriatim.accelerate(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_modules():
    with pytest.raises(seriatim.UsageError, match=r"model: got list, wanted a torch\.nn\.Module"):
        seriatim.accelerate([])


def test_copies_and_round_trips(model):
    seriatim.accelerate(model.eval())
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    wanted = model(x)
    assert torch.equal(copy.deepcopy(model)(x), wanted)
    buffer = io.BytesIO()
    torch.save(model, buffer)  # the user's own pickle
    buffer.seek(0)
    assert torch.equal(torch.load(buffer, weights_only=False)(x), wanted)
    fresh = Model().double().eval()
    fresh.load_state_dict(model.state_dict())  # and back into PyTorch's own
    torch.testing.assert_close(fresh(x), wanted, rtol=1e-12, atol=1e-12)


def test_an_optimizer_made_before_goes_on(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seriatim.accelerate(model)
    before = model.encoder.weight_hh_l0.detach().clone()
    model(torch.randn(2, 7, 3, dtype=torch.float64)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.encoder.weight_hh_l0, before)
