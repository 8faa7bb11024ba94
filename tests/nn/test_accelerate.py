"""``accelerate`` replaces PyTorch's layers with the same weights, and gives a reason for those that it leaves."""

from __future__ import annotations

import copy
import io
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import seriatim
from seriatim.nn import LSTM
from seriatim.nn import accelerate as accelerate_function
from seriatim.nn.accelerate import NOTE


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


def test_output_and_parameters_stay_the_same(model):
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    model.eval()
    original, parameters, keys = model(x), dict(model.named_parameters()), list(model.state_dict())
    report = seriatim.accelerate(model)
    assert report.model is model
    assert set(report.changed) == {"encoder", "blocks.0", "blocks.1", "cells.lstm", "cells.gru", "cells.rnn"}
    assert report.left == {}
    assert all(type(module).__module__.startswith(("seriatim", "torch.nn.modules.container")) for module in (
        model.encoder, model.blocks[0], model.cells["rnn"]))  # fmt: skip
    assert dict(model.named_parameters()).keys() == parameters.keys()
    assert all(parameter is parameters[name] for name, parameter in model.named_parameters())
    assert list(model.state_dict()) == keys
    torch.testing.assert_close(model(x), original, rtol=1e-12, atol=1e-12)


def test_options_and_mode_stay_the_same(model):
    model.eval()
    model.blocks[0].train()
    seriatim.accelerate(model)
    module = model.encoder
    assert (module.num_layers, module.batch_first, module.dropout, module.bidirectional, module.proj_size) == (
        2,
        True,
        0.25,
        True,
        2,
    )
    assert model.blocks[1].nonlinearity == "relu"
    assert not model.blocks[1].bias
    assert [module.training for module in (model.encoder, model.blocks[0])] == [False, True]


def test_second_call_changes_nothing(model):
    seriatim.accelerate(model)
    modules = list(model.modules())
    again = seriatim.accelerate(model)
    assert (again.changed, again.left) == ({}, {})
    assert all(new is old for new, old in zip(model.modules(), modules, strict=True))
    assert str(again) == "nothing to accelerate: no recurrent layer of torch.nn"


def test_model_that_is_a_layer_is_replaced():
    report = accelerate_function(nn.GRU(3, 4))
    assert type(report.model) is seriatim.nn.GRU
    assert str(report).splitlines()[:2] == ["1 changed, 0 left", "changed  (model)  GRU(3, 4)"]


def test_module_in_two_places_is_replaced_by_one():
    shared = nn.GRU(4, 4)
    model = nn.ModuleDict({"first": shared, "second": shared, "within": nn.ModuleList([shared])})
    seriatim.accelerate(model)
    assert model["first"] is model["second"] is model["within"][0]
    assert type(model["first"]) is seriatim.nn.GRU


def test_hooks_and_attributes_stay():
    model = nn.Sequential(nn.LSTM(2, 3))
    calls = []
    handle = model[0].register_forward_hook(lambda module, input, output: calls.append(type(module)))
    model[0].note = "mine"
    seriatim.accelerate(model)
    model(torch.randn(4, 1, 2))
    assert calls == [LSTM]
    assert model[0].note == "mine"
    handle.remove()
    model(torch.randn(4, 1, 2))
    assert len(calls) == 1


class Odd(nn.GRU):
    """A subclass of a user that our class cannot serve."""

    def check_input(self, input, batch_sizes):
        pass


def test_report_says_why_a_module_is_left():
    replaced = nn.GRU(2, 3)
    replaced.forward = lambda x: x
    model = nn.ModuleDict({
        "odd": Odd(2, 3),
        "normed": weight_norm(nn.LSTM(2, 3), "weight_hh_l0"),
        "replaced": replaced,
        "halved": nn.RNN(2, 3, dtype=torch.float16),
        "fine": nn.GRUCell(2, 3),
    })  # fmt: skip
    original = {name: model[name] for name in ("odd", "normed", "replaced", "halved")}
    report = seriatim.accelerate(model)
    assert set(report.changed) == {"fine"}
    assert report.left == {
        "odd": "Odd is a subclass of GRU with its own check_input",
        "normed": "parametrised: weight_hh_l0",
        "replaced": "its forward was replaced",
        "halved": "it is of float16",
    }
    assert all(model[name] is module for name, module in original.items())
    assert str(report).splitlines() == [
        "1 changed, 4 left",
        "changed  fine      GRUCell(2, 3)",
        "left     odd       Odd is a subclass of GRU with its own check_input",
        "left     normed    parametrised: weight_hh_l0",
        "left     replaced  its forward was replaced",
        "left     halved    it is of float16",
        f"note     {NOTE}",
    ]


def test_layer_with_computed_weight_is_left():
    layer = nn.LSTM(2, 3)
    del layer.weight_hh_l0
    layer.weight_hh_l0 = torch.zeros(12, 3)  # the older weight norm does this before each call
    assert seriatim.accelerate(nn.Sequential(layer)).left == {"0": "no plain parameter: weight_hh_l0"}


def test_numbers_that_pytorch_takes_for_options():
    layers = {
        "numpy": nn.GRU(2, 3, num_layers=np.int64(2), bias=True),
        "numpy flag": nn.LSTM(2, 3, bidirectional=np.bool_(True)),
        "whole flag": nn.RNN(2, 3, bidirectional=1),
        "cell": nn.GRUCell(np.int64(2), 3, bias=1),
    }
    model = nn.ModuleDict(copy.deepcopy(layers))
    report = seriatim.accelerate(model)
    assert (set(report.changed), report.left) == (set(layers), {})
    x = torch.randn(5, 2, 2)
    for name in ("numpy flag", "whole flag"):  # PyTorch builds these layers, but cannot run them
        layers[name].bidirectional = True
    for name, plain in layers.items():
        x_of_layer = x[0] if name == "cell" else x
        torch.testing.assert_close(model[name](x_of_layer), plain(x_of_layer))


def test_one_layer_that_cannot_change_keeps_no_other():
    model = nn.ModuleDict({"empty": nn.GRUCell(2, 0), "fine": nn.GRU(2, 3)})
    report = seriatim.accelerate(model)
    assert set(report.changed) == {"fine"}
    assert report.left == {"empty": "hidden_size: got 0, wanted a whole number of at least 1"}


def test_subclass_with_the_same_name_is_told_apart_by_its_module():
    subclass = type("LSTM", (nn.LSTM,), {"__module__": "project.layers", "forward": lambda self, x: x})
    report = seriatim.accelerate(nn.Sequential(subclass(2, 3)))
    assert report.left == {"0": "project.layers.LSTM is a subclass of LSTM whose forward does not call super()"}


def test_layers_in_lists_and_dicts_are_replaced_too():
    model = nn.Module()
    shared = nn.GRU(2, 3)
    model.own = shared
    model.layers, model.by_name, model.fixed = (
        [shared, nn.Sequential(nn.LSTM(2, 3))],
        {"a": nn.RNN(2, 3)},
        (nn.GRU(2, 3),),
    )
    report = seriatim.accelerate(model)
    assert list(report.changed) == ["own", "layers[1].0", "by_name['a']"]
    assert report.left == {"fixed[0]": "it is in a tuple"}
    assert model.layers[0] is model.own and type(model.own) is seriatim.nn.GRU
    assert type(model.layers[1][0]) is seriatim.nn.LSTM and type(model.by_name["a"]) is seriatim.nn.RNN


def test_layers_in_subclasses_of_containers_are_replaced_too():
    class Layers(list):
        """Keras keeps the layers of a model in such a list."""

    model, pair = nn.Module(), namedtuple("Pair", "read write")
    model.layers, model.by_name = Layers([nn.GRU(2, 3)]), OrderedDict(a=nn.LSTM(2, 3))
    model.pair = pair(nn.RNN(2, 3), None)
    report = seriatim.accelerate(model)
    assert list(report.changed) == ["layers[0]", "by_name['a']"] and report.left == {"pair[0]": "it is in a tuple"}
    assert type(model.layers[0]) is seriatim.nn.GRU and type(model.by_name["a"]) is seriatim.nn.LSTM


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_layers_are_reported():
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.LSTM(2, 3))), nn.GRU(2, 3))
    report = seriatim.accelerate(model)
    assert (list(report.changed), report.left) == (["1"], {"0.0": "scripted"})
    assert seriatim.accelerate(torch.jit.script(nn.Sequential(nn.GRU(2, 3)))).left == {"0": "scripted"}


def test_random_state_does_not_change(model):
    original = torch.get_rng_state()
    seriatim.accelerate(model)
    assert torch.equal(torch.get_rng_state(), original)


def test_argument_that_is_no_module_is_refused():
    with pytest.raises(seriatim.UsageError, match=r"model: got list, wanted a torch\.nn\.Module"):
        seriatim.accelerate([])


def test_copies_and_round_trips(model):
    seriatim.accelerate(model.eval())
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    expected = model(x)
    assert torch.equal(copy.deepcopy(model)(x), expected)
    buffer = io.BytesIO()
    torch.save(model, buffer)  # a pickle that the user writes
    buffer.seek(0)
    assert torch.equal(torch.load(buffer, weights_only=False)(x), expected)
    new_model = Model().double().eval()
    new_model.load_state_dict(model.state_dict())  # the weights go back into PyTorch's layers
    torch.testing.assert_close(new_model(x), expected, rtol=1e-12, atol=1e-12)


def test_existing_optimizer_updates_the_new_layers(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seriatim.accelerate(model)
    original = model.encoder.weight_hh_l0.detach().clone()
    model(torch.randn(2, 7, 3, dtype=torch.float64)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.encoder.weight_hh_l0, original)
