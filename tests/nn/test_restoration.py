"""``restore`` gives PyTorch's own layers back, with the same weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import seriatim


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.25, bidirectional=True, proj_size=2)
        self.blocks = nn.ModuleList([nn.GRU(4, 5), nn.RNN(5, 4, nonlinearity="relu", bias=False)])
        self.cells = nn.ModuleDict({"lstm": nn.LSTMCell(4, 4), "gru": nn.GRUCell(4, 4), "rnn": nn.RNNCell(4, 4, False)})

    def forward(self, x):
        x, _ = self.encoder(x)
        for block in self.blocks:
            x, _ = block(x)
        return self.cells["lstm"](self.cells["gru"](x[0], self.cells["rnn"](x[0])))[0]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
def test_round_trip_gives_the_same_modules():
    model = Model().eval()
    plain, parameters = copy.deepcopy(model), dict(model.named_parameters())
    seriatim.accelerate(model)
    report = seriatim.restore(model)
    assert (len(report.changed), report.left) == (6, {})
    assert [type(module) for module in model.modules()] == [type(module) for module in plain.modules()]
    assert all(parameter is parameters[name] for name, parameter in model.named_parameters())
    assert list(model.state_dict()) == list(plain.state_dict())
    for module, original in zip(model.modules(), plain.modules(), strict=True):
        assert repr(module) == repr(original)
        assert vars(module).keys() == vars(original).keys()
    x = torch.randn(2, 7, 3)
    assert torch.equal(model(x), plain(x))
    with torch.no_grad():  # the flat weights are the parameters
        model.blocks[0].weight_hh_l0.zero_()
        plain.blocks[0].weight_hh_l0.zero_()
    assert torch.equal(model(x), plain(x))
    assert str(seriatim.restore(model)) == "nothing to restore: no recurrent layer of seriatim.nn"


def test_hooks_attributes_and_mode_stay():
    model = nn.Sequential(nn.GRU(2, 3)).eval()
    calls = []
    model[0].register_forward_hook(lambda module, input, output: calls.append(type(module)))
    model[0].note = "mine"
    seriatim.accelerate(model)
    seriatim.restore(model)
    model(torch.randn(4, 1, 2))
    assert (calls, model[0].note, model[0].training) == ([nn.GRU], "mine", False)


def test_layers_that_pytorch_lacks_are_left_with_a_reason():
    parametrised = seriatim.nn.GRU(2, 3)
    parametrize.register_parametrization(parametrised, "weight_hh_l0", nn.Identity())
    model = nn.ModuleDict({
        "peephole": seriatim.nn.LSTM(2, 3, peephole=True),
        "sigmoid": seriatim.nn.RNN(2, 3, nonlinearity="sigmoid"),
        "projected": seriatim.nn.GRU(2, 3, proj_size=2),
        "zoneout": seriatim.nn.GRU(2, 3, zoneout=0.5),
        "minimal": seriatim.nn.MinGRU(2, 3),
        "parametrised": parametrised,
        "fine": seriatim.nn.LSTM(2, 3, proj_size=2),
    })  # fmt: skip
    report = seriatim.restore(model)
    assert list(report.changed) == ["fine"]
    assert report.left == {
        "peephole": "PyTorch has no peephole=True",
        "sigmoid": "PyTorch has no nonlinearity=sigmoid",
        "projected": "PyTorch has no proj_size=2",
        "zoneout": "PyTorch has no zoneout=0.5",
        "minimal": "PyTorch has no MinGRU",
        "parametrised": "ParametrizedGRU is a subclass of GRU",
    }


def test_model_that_is_a_layer():
    layer = seriatim.nn.LSTM(2, 3)
    restored = seriatim.restore(layer).model
    assert type(restored) is nn.LSTM and restored.weight_hh_l0 is layer.weight_hh_l0


@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization:DeprecationWarning", "ignore:.*:UserWarning")
def test_quantisation_after_restore():
    model = nn.Sequential(nn.LSTM(8, 8))
    seriatim.accelerate(model)
    seriatim.restore(model)
    quantised = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM})
    assert type(quantised[0]) is torch.ao.nn.quantized.dynamic.LSTM


def test_argument_that_is_no_module_is_refused():
    with pytest.raises(seriatim.UsageError, match=r"model: got list, wanted a torch\.nn\.Module"):
        seriatim.restore([])
