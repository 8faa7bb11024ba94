"""Layers of Keras compute the same here, and ours there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.nn.interchange import KerasLayer, convention, from_keras, to_keras

RECORDED = "keras"


def stack_of(case, tools):
    """A recorded case's layers, as Keras would hand them over."""
    return [
        KerasLayer(
            one["class_name"], one["config"], [tools.as_array(weight, case["dtype"]) for weight in one["weights"]]
        )
        for one in case["theirs"]
    ]


def compare(case, layer, tools):
    """The largest difference between a case's outputs and a layer's."""
    dtype = case["dtype"]
    hx = [tools.as_array(one, dtype) for one in case["hx"]]
    output, state = layer(torch.from_numpy(tools.as_array(case["x"], dtype)), tools.as_torch(hx))
    wanted = [tools.as_array(one, dtype) for one in (case["output"], *case["state"])]
    return tools.difference([output, *tools.state_of(state)], wanted)


def test_a_layer_of_keras_computes_the_same_here(case, tools):
    layer = from_keras(stack_of(case, tools))
    assert layer.batch_first
    assert compare(case, layer, tools) <= tools.TOLERANCE[case["dtype"]]


def test_its_weights_go_back_as_they_came(case, tools):
    stack = stack_of(case, tools)
    for found, wanted in zip(to_keras(from_keras(stack)), stack, strict=True):
        assert found.class_name == ("GRU" if wanted.class_name == "RNN" else wanted.class_name)
        assert tools.difference(found.weights, wanted.weights) == 0


def test_a_single_bias_is_the_inputs():
    layer = from_keras(lstm(weights=[*lstm().weights, np.ones(8, np.float32)], use_bias=True))
    assert (layer.bias_ih_l0 == 1).all()
    assert (layer.bias_hh_l0 == 0).all()


def test_the_comparison_can_fail(tools, monkeypatch):
    """With two gates exchanged the outputs differ by far more than the tolerance."""
    x, given = torch.randn(2, 3, 3), nn.GRU(3, 4, batch_first=True)
    theirs = to_keras(given)
    right = convention.CONVENTIONS["Keras"]["gru"]
    wrong = dataclasses.replace(right, gates=("r", "z", "n"))
    monkeypatch.setitem(convention.CONVENTIONS["Keras"], "gru", wrong)
    assert tools.difference([from_keras(theirs)(x)[0]], [given(x)[0]]) > 0.01


OURS = {
    "rnn": (nn.RNN, {"nonlinearity": "relu"}),
    "rnn-two": (nn.RNN, {"nonlinearity": "sigmoid", "bidirectional": True, "num_layers": 2}),
    "lstm": (nn.LSTM, {"num_layers": 2}),
    "lstm-two": (nn.LSTM, {"bidirectional": True, "num_layers": 2}),
    "lstm-free": (nn.LSTM, {"bias": False}),
    "gru": (nn.GRU, {}),
    "gru-before": (nn.GRU, {"reset_after": False, "num_layers": 2}),
    "gru-two": (nn.GRU, {"bidirectional": True}),
    "gru-before-two": (nn.GRU, {"reset_after": False, "bidirectional": True}),
    "gru-free": (nn.GRU, {"bias": False}),
}


def ours(name, dtype, tools):
    torch.manual_seed(4)
    make, options = OURS[name]
    return tools.perturb(make(5, 7, batch_first=True, dtype=dtype, **options))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_a_layer_of_ours_comes_back(name, dtype, tools):
    layer = ours(name, dtype, tools)
    back = from_keras(to_keras(layer))
    x = torch.randn(2, 6, 5, dtype=dtype)
    assert repr(back) == repr(layer)
    assert (
        tools.difference([back(x)[0]], [layer(x)[0]]) <= tools.TOLERANCE[str(back(x)[0].dtype).removeprefix("torch.")]
    )


BASE = {"units": 2, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": False}


def lstm(name="LSTM", weights=None, **config):
    drawn = [np.ones((3, 8), np.float32), np.ones((2, 8), np.float32)] if weights is None else weights
    return KerasLayer(name, BASE | config, drawn)


def pair(other=None, **options):
    one = {"class_name": "LSTM", "config": BASE}
    return KerasLayer("Bidirectional", {"layer": one, "backward_layer": other or one} | options, lstm().weights * 2)


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([], "layers: got none"),
        (lstm("Dense"), "layers: got Keras's Dense, wanted SimpleRNN, LSTM, GRU or Bidirectional"),
        (lstm("RNN", cell={"class_name": "StackedRNNCells", "config": {}}), "got Keras's StackedRNNCells"),
        (3, "layers: got int, wanted layers of Keras"),
        (lstm(activation="relu"), "LSTM has activation='relu', wanted tanh"),
        (lstm("SimpleRNN", activation="gelu"), "SimpleRNN has activation='gelu', wanted tanh or relu or sigmoid"),
        (lstm(recurrent_activation="hard_sigmoid"), "recurrent_activation='hard_sigmoid'"),
        (lstm(stateful=True), "stateful=True.*seriatim.nn.Stream"),
        (lstm(go_backwards=True), "go_backwards=True.*reverse=True"),
        (lstm(dropout=0.5), "dropout=0.5.*inference=True"),
        (lstm(recurrent_dropout=0.5), "recurrent_dropout=0.5.*inference=True"),
        (lstm(kernel_regularizer={"l2": 0.1}), "kernel_regularizer=.*inference=True"),
        (lstm(weights=[]), "LSTM has no weights yet, wanted a layer that is built"),
        (lstm(weights=lstm().weights[:1]), "got 1 arrays for LSTM, wanted kernel, recurrent_kernel"),
        (
            lstm(weights=[np.ones((3, 8), np.float32)] * 2),
            r"LSTM.recurrent_kernel: got shape \[3, 8\], wanted \[2, 8\]",
        ),
        (lstm(weights=[np.ones((3, 8), np.float16)] * 2), "LSTM.kernel: got float16, wanted float32 or float64"),
        (lstm(weights=[np.float32(1), np.float32(1)]), "kernel: got a single number, wanted an array"),
        ([lstm(), lstm()], "layer 2 of the stack has input_size 3, wanted 2 after the first"),
        (pair(merge_mode="sum"), "merge_mode='sum' has no place here, wanted 'concat'"),
        (pair({"class_name": "SimpleRNN", "config": BASE}, merge_mode="concat"), "SimpleRNN.kernel: got shape"),
    ],
    ids=str,
)
def test_what_has_no_place_here_is_named(layers, named):
    with pytest.raises(UsageError, match=named):
        from_keras(layers)


def test_what_acts_in_training_alone_can_be_left_out(tools):
    assert from_keras(lstm(dropout=0.5, recurrent_dropout=0.1, bias_constraint={}), inference=True).hidden_size == 2
    layer = nn.LSTM(2, 3, 2, dropout=0.5)
    with pytest.raises(UsageError, match=r"dropout=0.5 has no place in Keras; inference=True"):
        to_keras(layer)
    assert len(to_keras(layer, inference=True)) == 2


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.LSTM(2, 3, proj_size=2), "proj_size=2 has no place in Keras"),
        (nn.LSTM(2, 3, peephole=True), "peephole=True has no place in Keras"),
        (nn.GRU(2, 3, layer_norm=True), "layer_norm=True has no place in Keras"),
        (nn.GRU(2, 3, zoneout=0.1), "zoneout=0.1 has no place in Keras"),
        (nn.GRU(2, 3, dtype=torch.bfloat16), "got bfloat16, wanted float32 or float64"),
        (nn.GRUCell(2, 3), "got seriatim.nn.cells.GRUCell, wanted an RNN, LSTM or GRU"),
    ],
    ids=lambda one: None if isinstance(one, str) else repr(one),
)
def test_what_keras_lacks_is_named(layer, named):
    with pytest.raises(UsageError, match=named):
        to_keras(layer)


@pytest.mark.filterwarnings("default")
def test_live_the_recorded_layers(record, tools):
    pytest.importorskip("keras")
    for case in record.keras():
        live = [KerasLayer(one["class_name"], one["config"], one["weights"]) for one in case["theirs"]]
        assert compare(case, from_keras(live), tools) <= tools.TOLERANCE[case["dtype"]], case["name"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_live_ours_runs_in_keras_and_comes_back(name, dtype, record, tools):
    keras = pytest.importorskip("keras")
    layer = ours(name, dtype, tools)
    x = np.random.default_rng(1).normal(size=(2, 6, 5)).astype(str(dtype).removeprefix("torch."))
    current, stack = x, []
    for one in to_keras(layer):
        theirs = keras.layers.deserialize(one.serialized())
        theirs.build(np.shape(current))
        theirs.set_weights(one.weights)
        current = theirs(current)
        stack.append(theirs)
    wanted = keras.ops.convert_to_numpy(current)
    for each in (layer, from_keras(stack)):
        found = each(torch.from_numpy(x))[0]
        assert tools.difference([found], [wanted]) <= tools.TOLERANCE[str(wanted.dtype)]
