"""Our layers have what programs ask PyTorch's layers for, and exporters find PyTorch's operations.

Each test runs PyTorch's own layer beside ours.
"""

from __future__ import annotations

import copy
import io
import logging
import pickle
import pickletools
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import seriatim

LAYERS = ("RNN", "LSTM", "GRU")
CELLS = ("RNNCell", "LSTMCell", "GRUCell")


def pair(name, *arguments, **options):
    """PyTorch's module and ours with the same weights."""
    torch.manual_seed(3)
    plain = getattr(nn, name)(*arguments, **options)
    ours = getattr(seriatim.nn, name)(*arguments, **options)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def all_tensors(value):
    return [value] if isinstance(value, torch.Tensor) else [tensor for part in value for tensor in all_tensors(part)]


@pytest.mark.parametrize("name", LAYERS + CELLS)
def test_class_is_a_subclass(name):
    plain, ours = pair(name, 3, 4)
    assert isinstance(ours, type(plain))
    assert not {attribute for attribute in dir(plain) if not hasattr(ours, attribute)} - {"_flat_weight_refs"}


@pytest.mark.parametrize(
    ("name", "options"),
    [("RNN", {"nonlinearity": "relu"}), ("RNN", {}), ("GRU", {"bidirectional": True}), ("LSTM", {"proj_size": 2}),
     ("LSTM", {"bias": False, "num_layers": 2})],
)  # fmt: skip
def test_attributes_are_equal(name, options):
    plain, ours = pair(name, 3, 4, **options)
    for attribute in ("mode", "_flat_weights_names", "_all_weights", *nn.RNNBase.__constants__):
        assert getattr(ours, attribute) == getattr(plain, attribute)
    assert all(map(torch.equal, ours._flat_weights, plain._flat_weights))
    assert [list(map(id, names)) for names in ours.all_weights] == [
        [id(getattr(ours, name)) for name in names] for names in plain._all_weights
    ]


def test_flat_weights_follow_the_attributes_and_set_them():
    _, ours = pair("GRU", 3, 4)
    new = nn.Parameter(torch.zeros(12, 4))
    ours.weight_hh_l0 = new
    assert ours._flat_weights[1] is new
    other = nn.Parameter(torch.ones(12, 4))
    ours._flat_weights = [ours._flat_weights[0], other, *ours._flat_weights[2:]]
    assert ours.weight_hh_l0 is other


@pytest.mark.parametrize("name", LAYERS)
def test_methods_of_pytorch(name):
    plain, ours = pair(name, 3, 4, num_layers=2, batch_first=True)
    x, h = torch.randn(5, 6, 3), torch.randn(2, 5, 4)
    state = (h, h) if name == "LSTM" else h
    assert ours.get_expected_hidden_size(x, None) == plain.get_expected_hidden_size(x, None)
    ours.check_forward_args(x, state, None)
    order = torch.tensor([4, 3, 2, 1, 0])
    assert all(map(torch.equal, all_tensors(ours.permute_hidden(state, order)),
                   all_tensors(plain.permute_hidden(state, order))))  # fmt: skip
    for module in (plain, ours):
        with pytest.raises(RuntimeError, match="input must have 3 dimensions, got 2"):
            module.check_input(x[0], None)
        with pytest.raises(RuntimeError, match=r"Expected hidden size \(2, 5, 4\)"):
            module.check_hidden_size(h[:1], (2, 5, 4))


def test_initialisation_by_apply():
    def initialise(module):
        if isinstance(module, nn.LSTM):
            for names in module._all_weights:
                nn.init.orthogonal_(getattr(module, names[1]))
                getattr(module, names[2]).data.fill_(1)

    results = []
    for module in pair("LSTM", 3, 4):
        torch.manual_seed(5)
        results.append(nn.Sequential(module).apply(initialise)[0].state_dict())
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
@pytest.mark.parametrize("norm", [torch.nn.utils.weight_norm, torch.nn.utils.parametrizations.weight_norm])
def test_weight_norm(norm):
    modules, x = pair("GRU", 3, 4), torch.randn(5, 2, 3)
    plain, ours = (norm(module, "weight_hh_l0") for module in modules)
    torch.testing.assert_close(ours(x), plain(x))
    for weights, expected in zip(ours.all_weights, plain.all_weights, strict=True):
        torch.testing.assert_close(weights, expected)


def test_parametrised_weight_is_computed_once_a_call():
    class Halved(nn.Module):
        calls = 0

        def forward(self, weight):
            self.calls += 1
            return weight / 2

    for module, x in ((pair("LSTM", 3, 4)[1], torch.randn(5, 2, 3)), (pair("GRUCell", 3, 4)[1], torch.randn(2, 3))):
        for name in [name for name, _ in module.named_parameters() if name.startswith("weight")]:
            halved = Halved()
            parametrize.register_parametrization(module, name, halved)
            halved.calls = 0
            module(x)
            assert halved.calls == 1, name


@pytest.mark.parametrize("name", LAYERS + CELLS)
def test_expanded_weights(name):
    plain, ours = pair(name, 3, 4)
    x = torch.randn(2, 3) if name in CELLS else torch.randn(5, 2, 3)
    for module in (plain, ours):
        for weight in [weight for weight, _ in module.named_parameters() if weight.startswith("weight")]:
            setattr(
                module,
                weight,
                nn.Parameter(getattr(plain, weight).detach()[:1].clone().expand(plain.get_parameter(weight).shape)),
            )
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(ours(x), plain(x))


class Model(nn.Module):
    """A layer with a head."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), 2)

    def forward(self, x):
        output, _ = self.layer(x)
        return self.head(output)


class Loop(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        state = self.cell(x[0])
        for step in x[1:]:
            state = self.cell(step, state)
        return state


def models(name, **options):
    plain, ours = pair(name, 3, 4, **options)
    model = (Loop if name in CELLS else Model)(ours)
    plain_model = copy.deepcopy(model)
    setattr(plain_model, "cell" if name in CELLS else "layer", plain)
    return plain_model.eval(), model.eval(), torch.randn(5, 2, 3)


@pytest.mark.parametrize("name", LAYERS + CELLS)
def test_leaf_of_an_fx_graph(name):
    plain, ours, x = models(name)
    graphs = [torch.fx.symbolic_trace(model) if name in LAYERS else torch.fx.Tracer().trace(nn.Sequential(model.cell))
              for model in (plain, ours)]  # fmt: skip
    calls = [
        [node.target for node in getattr(graph, "graph", graph).nodes if node.op == "call_module"] for graph in graphs
    ]
    assert calls[0] == calls[1]
    if name in LAYERS:
        torch.testing.assert_close(graphs[1](x), plain(x))


def test_options_in_an_fx_graph():
    layer = seriatim.nn.GRU(3, 4)

    class WithLengths(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x, lengths):
            output, _, states = self.layer(x, lengths=lengths, return_states="all")
            return output, states["r"]

    x, lengths = torch.randn(5, 2, 3), torch.tensor([5, 3])
    traced = torch.fx.symbolic_trace(WithLengths())
    torch.testing.assert_close(traced(x, lengths), WithLengths()(x, lengths))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", LAYERS + CELLS)
def test_scripting_compiles_pytorchs_layers(name):
    plain, ours, x = models(name)
    parameters = dict(ours.named_parameters())
    scripted = torch.jit.script(ours if name in LAYERS else ours.cell)
    if name in LAYERS:
        torch.testing.assert_close(scripted(x), plain(x), rtol=0, atol=0)
        assert all(parameter.data_ptr() == parameters[key].data_ptr() for key, parameter in scripted.named_parameters())
    else:
        torch.testing.assert_close(scripted(x[0]), plain.cell(x[0]), rtol=0, atol=0)


def onnx_nodes(model, x, dynamo):
    onnx = pytest.importorskip("onnx")
    if dynamo:
        pytest.importorskip("onnxscript")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            proto = torch.onnx.export(model, (x,), dynamo=True, verbose=False).model_proto
        else:
            buffer = io.BytesIO()
            torch.onnx.export(model, (x,), buffer, dynamo=False)
            proto = onnx.load_from_string(buffer.getvalue())
    return [node.op_type for node in proto.graph.node], proto.SerializeToString()


@pytest.mark.parametrize(
    ("name", "options", "dynamo"),
    [
        ("RNN", {}, False), ("GRU", {"batch_first": True}, False), ("LSTMCell", {}, False),
        ("LSTM", {"num_layers": 2, "bidirectional": True}, False),
        ("LSTM", {"num_layers": 2, "bidirectional": True}, True), ("LSTMCell", {}, True),
    ],
)  # fmt: skip
def test_onnx_export_has_pytorchs_nodes(name, options, dynamo):
    plain, ours, x = models(name, **options)
    expected, _ = onnx_nodes(plain, x, dynamo)
    nodes, file = onnx_nodes(ours, x, dynamo)
    assert nodes == expected
    session = pytest.importorskip("onnxruntime").InferenceSession(file)
    results = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    for result, tensor in zip(results, all_tensors(plain(x)), strict=True):
        torch.testing.assert_close(torch.from_numpy(result), tensor.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAYERS + CELLS)
def test_pickle_names_the_layers_class_alone(name):
    _, ours = pair(name, 3, 4)
    ours(torch.randn(2, 3))  # a cell has a cache then
    words = [argument for _, argument, _ in pickletools.genops(pickle.dumps(ours)) if isinstance(argument, str)]
    assert {word for word in words if word.startswith("seriatim")} == {type(ours).__module__}


@pytest.mark.parametrize("options", [{"peephole": True}, {"coupled": True, "zoneout": (0.5, 0.0)}])
def test_variants_survive_a_pickle(options):
    layer = seriatim.nn.LSTM(3, 4, num_layers=2, bidirectional=True, **options).eval()
    copied, x = pickle.loads(pickle.dumps(layer)), torch.randn(5, 2, 3)
    assert (copied.spec, repr(copied)) == (layer.spec, repr(layer))
    assert torch.equal(copied(x)[0], layer(x)[0])
