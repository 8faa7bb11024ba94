"""Conversion from and to Keras gives the same outputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.layouts import convention
from seriatim.nn.interchange import KerasLayer, from_keras, to_keras

RECORDED = "keras"


def stack_of(case, tools):
    """The layers of a recorded case, as Keras would return them."""
    return [
        KerasLayer(
            layer_data["class_name"],
            layer_data["config"],
            [tools.as_array(weight, case["dtype"]) for weight in layer_data["weights"]],
        )
        for layer_data in case["theirs"]
    ]


def compare(case, layer, tools):
    """The largest difference between the outputs of a case and of a layer."""
    dtype = case["dtype"]
    hx = [tools.as_array(value, dtype) for value in case["hx"]]
    output, state = layer(torch.from_numpy(tools.as_array(case["x"], dtype)), tools.as_torch(hx))
    expected = [tools.as_array(value, dtype) for value in (case["output"], *case["state"])]
    return tools.difference([output, *tools.state_of(state)], expected)


def test_layer_of_keras_gives_the_same_output_here(case, tools):
    layer = from_keras(stack_of(case, tools))
    assert layer.batch_first
    assert compare(case, layer, tools) <= tools.TOLERANCE[case["dtype"]]


def test_weights_of_keras_survive_a_round_trip(case, tools):
    stack = stack_of(case, tools)
    for converted, expected in zip(to_keras(from_keras(stack)), stack, strict=True):
        assert converted.class_name == ("GRU" if expected.class_name == "RNN" else expected.class_name)
        assert tools.difference(converted.weights, expected.weights) == 0


def test_single_bias_becomes_bias_ih():
    layer = from_keras(lstm(weights=[*lstm().weights, np.ones(8, np.float32)], use_bias=True))
    assert (layer.bias_ih_l0 == 1).all()
    assert (layer.bias_hh_l0 == 0).all()


def test_swapped_gates_are_noticed(tools, monkeypatch):
    """With two gates swapped the outputs differ by far more than the tolerance."""
    x, original = torch.randn(2, 3, 3), nn.GRU(3, 4, batch_first=True)
    theirs = to_keras(original)
    convention_of_gru = convention.CONVENTIONS["Keras"]["gru"]
    wrong = dataclasses.replace(convention_of_gru, gates=("r", "z", "n"))
    monkeypatch.setitem(convention.CONVENTIONS["Keras"], "gru", wrong)
    assert tools.difference([from_keras(theirs)(x)[0]], [original(x)[0]]) > 0.01


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


def make_layer(name, dtype, tools):
    torch.manual_seed(4)
    make, options = OURS[name]
    return tools.perturb(make(5, 7, batch_first=True, dtype=dtype, **options))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_our_layer_survives_a_round_trip(name, dtype, tools):
    layer = make_layer(name, dtype, tools)
    back = from_keras(to_keras(layer))
    x = torch.randn(2, 6, 5, dtype=dtype)
    assert repr(back) == repr(layer)
    assert (
        tools.difference([back(x)[0]], [layer(x)[0]]) <= tools.TOLERANCE[str(back(x)[0].dtype).removeprefix("torch.")]
    )


BASE = {"units": 2, "activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": False}


def lstm(name="LSTM", weights=None, **config):
    arrays = [np.ones((3, 8), np.float32), np.ones((2, 8), np.float32)] if weights is None else weights
    return KerasLayer(name, BASE | config, arrays)


def pair(backward=None, **options):
    layer_data = {"class_name": "LSTM", "config": BASE}
    return KerasLayer(
        "Bidirectional", {"layer": layer_data, "backward_layer": backward or layer_data} | options, lstm().weights * 2
    )


@pytest.mark.parametrize(
    ("layers", "message"),
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
def test_option_that_seriatim_lacks_is_named(layers, message):
    with pytest.raises(UsageError, match=message):
        from_keras(layers)


def test_inference_leaves_out_training_options(tools):
    assert from_keras(lstm(dropout=0.5, recurrent_dropout=0.1, bias_constraint={}), inference=True).hidden_size == 2
    layer = nn.LSTM(2, 3, 2, dropout=0.5)
    with pytest.raises(UsageError, match=r"dropout=0.5 has no place in Keras; inference=True"):
        to_keras(layer)
    assert len(to_keras(layer, inference=True)) == 2


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LSTM(2, 3, proj_size=2), "proj_size=2 has no place in Keras"),
        (nn.LSTM(2, 3, peephole=True), "peephole=True has no place in Keras"),
        (nn.GRU(2, 3, layer_norm=True), "layer_norm=True has no place in Keras"),
        (nn.GRU(2, 3, zoneout=0.1), "zoneout=0.1 has no place in Keras"),
        (nn.GRU(2, 3, dtype=torch.bfloat16), "got bfloat16, wanted float32 or float64"),
        (nn.GRUCell(2, 3), "got seriatim.nn.cells.GRUCell, wanted an RNN, LSTM or GRU"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value),
)
def test_option_that_keras_lacks_is_named(layer, message):
    with pytest.raises(UsageError, match=message):
        to_keras(layer)


@pytest.mark.filterwarnings("default")
def test_live_recorded_layers_give_the_same_output_here(record, tools):
    pytest.importorskip("keras")
    for case in record.keras():
        live = [
            KerasLayer(layer_data["class_name"], layer_data["config"], layer_data["weights"])
            for layer_data in case["theirs"]
        ]
        assert compare(case, from_keras(live), tools) <= tools.TOLERANCE[case["dtype"]], case["name"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_live_our_layer_runs_in_keras_and_survives_a_round_trip(name, dtype, record, tools):
    keras = pytest.importorskip("keras")
    layer = make_layer(name, dtype, tools)
    x = np.random.default_rng(1).normal(size=(2, 6, 5)).astype(str(dtype).removeprefix("torch."))
    current, stack = x, []
    for layer_data in to_keras(layer):
        theirs = keras.layers.deserialize(layer_data.serialized())
        theirs.build(np.shape(current))
        theirs.set_weights(layer_data.weights)
        current = theirs(current)
        stack.append(theirs)
    expected = keras.ops.convert_to_numpy(current)
    for same_layer in (layer, from_keras(stack)):
        converted = same_layer(torch.from_numpy(x))[0]
        assert tools.difference([converted], [expected]) <= tools.TOLERANCE[str(expected.dtype)]
