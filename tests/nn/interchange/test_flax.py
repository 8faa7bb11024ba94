"""Conversion from and to flax gives the same outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.nn.interchange import from_flax, to_flax

RECORDED = "flax"


def compare(case, layer, tools):
    """The largest difference between the outputs of a case and of a layer; padding does not count."""
    dtype, lengths = case["dtype"], case["lengths"]
    output, state = layer(torch.from_numpy(tools.as_array(case["x"], dtype)), lengths=[int(value) for value in lengths])
    expected, *last = [tools.as_array(value, dtype) for value in (case["output"], *case["state"])]
    alive = np.arange(expected.shape[1]) < np.asarray(lengths)[:, None]
    expected = np.where(alive[:, :, None], expected, 0).astype(dtype)  # flax also runs over the padding
    return tools.difference([output, *tools.state_of(state)], [expected, *last])


def params(case, tools):
    return [tools.nested(value, case["dtype"]) for value in case["theirs"]]


def test_parameters_of_flax_give_the_same_output_here(case, tools):
    layer = from_flax(params(case, tools), nonlinearity=case["nonlinearity"])
    assert layer.batch_first
    assert compare(case, layer, tools) <= tools.TOLERANCE[case["dtype"]]


def test_parameters_of_flax_survive_a_round_trip(case, tools):
    def leaves(tree):
        return [value for key in sorted(tree) for value in leaves(tree[key])] if isinstance(tree, dict) else [tree]

    def skeleton(tree):
        return {key: skeleton(value) for key, value in tree.items()} if isinstance(tree, dict) else None

    for parameters in params(case, tools):
        layer = from_flax(parameters, nonlinearity=case["nonlinearity"])
        (converted,) = to_flax(layer, optimized="ii" not in parameters.get("cell", {}))
        assert skeleton(converted) == skeleton(parameters)
        assert tools.difference(leaves(converted), leaves(parameters)) == 0


OURS = {
    "rnn": (nn.RNN, {"nonlinearity": "relu"}),
    "rnn-two": (nn.RNN, {"bidirectional": True}),
    "lstm": (nn.LSTM, {"num_layers": 2}),
    "lstm-two": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "lstm-free": (nn.LSTM, {"bias": False}),
    "gru": (nn.GRU, {}),
    "gru-two": (nn.GRU, {"num_layers": 2, "bidirectional": True}),
}


def make_layer(name, dtype, tools):
    torch.manual_seed(4)
    make, options = OURS[name]
    layer = tools.perturb(make(5, 7, batch_first=True, dtype=dtype, **options))
    if make is nn.GRU:
        with torch.no_grad():
            for key, value in layer.named_parameters():
                if key.startswith("bias_hh"):
                    value[14:] = 0  # flax has no bias there
    return layer


@pytest.mark.parametrize("optimized", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_our_layer_survives_a_round_trip(name, dtype, optimized, tools):
    layer = make_layer(name, dtype, tools)
    back = from_flax(to_flax(layer, optimized=optimized), nonlinearity=OURS[name][1].get("nonlinearity"))
    x = torch.randn(2, 6, 5, dtype=dtype)
    converted, expected = back(x)[0], layer(x)[0]
    assert tools.difference([converted], [expected]) <= tools.TOLERANCE[str(converted.dtype).removeprefix("torch.")]


def cell(gates=4, bias="dense_h", dtype=np.float32):
    dense = {
        "dense_i": {"kernel": np.ones((3, 2 * gates), dtype)},
        "dense_h": {"kernel": np.ones((2, 2 * gates), dtype)},
    }
    if bias:
        dense[bias]["bias"] = np.ones(2 * gates, dtype)
    return dense


class Module:
    """A stand-in for a module of flax, with the attributes that are read."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def sigmoid():
    """A function with this name."""


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ([], "layers: got none"),
        ({}, "found neither dense_i and dense_h nor ii"),
        (3, "found neither dense_i and dense_h nor ii"),
        (cell(2), r"dense_h.kernel has shape \[2, 4\], wanted \[H, H\], \[H, 3·H\] or \[H, 4·H\]"),
        (cell(bias="dense_i"), "wanted a bias in dense_h alone"),
        (cell(bias=""), "wanted a bias in dense_h alone"),
        (cell(dtype=np.float16), "got float16, wanted float32 or float64"),
        ([cell(), cell()], "layer 2 of the stack has input_size 3, wanted 2"),
        ({"forward_rnn": {"cell": cell()}, "backward_rnn": {"cell": cell(3, "dense_i")}}, "differ, wanted two alike"),
        (Module(**cell(1, "dense_i"), residual=True), "residual=True"),
        (Module(**cell(), gate_fn=np.tanh), "gate_fn=tanh has no place here, wanted sigmoid"),
        (Module(**cell(), activation_fn=sigmoid), "activation_fn=sigmoid has no place here, wanted tanh"),
        (Module(**cell(1, "dense_i"), activation_fn=np.sin), "activation_fn=sin has no place here"),
        (Module(cell=cell(), reverse=True), "RNN has reverse=True.*when the layer is called"),
        (Module(forward_rnn=cell(), backward_rnn=cell(), merge_fn=np.add), "merge_fn=add has no place here"),
    ],
    ids=range(15),
)
def test_option_that_seriatim_lacks_is_named(theirs, message):
    with pytest.raises(UsageError, match=message):
        from_flax(theirs)


def test_reverse_of_an_rnn_in_a_bidirectional_has_no_effect():
    bidirectional = Module(
        forward_rnn=Module(cell=cell(), reverse=False), backward_rnn=Module(cell=cell(), reverse=True)
    )
    assert from_flax(bidirectional).bidirectional


def test_nonlinearity_is_for_simple_cells_alone():
    with pytest.raises(UsageError, match="nonlinearity: got 'relu' for a cell with gates"):
        from_flax(cell(), nonlinearity="relu")
    with pytest.raises(UsageError, match="nonlinearity: got 'relu', wanted the module's own, sigmoid"):
        from_flax(Module(**cell(1, "dense_i"), activation_fn=sigmoid), nonlinearity="relu")
    with pytest.raises(UsageError, match="activation: got 'gelu'"):
        from_flax(cell(1, "dense_i"), nonlinearity="gelu")
    assert from_flax(Module(**cell(1, "dense_i"), activation_fn=sigmoid)).nonlinearity == "sigmoid"
    assert not from_flax(Module(cell=cell(), time_major=True)).batch_first


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LSTM(2, 3, proj_size=2), "proj_size=2 has no place in flax nnx"),
        (nn.LSTM(2, 3, peephole=True), "peephole=True"),
        (nn.GRU(2, 3, reset_after=False), "reset_after=False has no place in flax nnx"),
        (nn.GRU(2, 3, zoneout=0.1), "zoneout=0.1"),
        (nn.GRU(2, 3, 2, dropout=0.1), "dropout=0.1 .*inference=True"),
        (nn.GRU(2, 3), "bias_hh of n is not 0"),
        (torch.nn.GRU(2, 3), "got torch.nn.modules.rnn.GRU"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value),
)
def test_option_that_flax_lacks_is_named(layer, message):
    with pytest.raises(UsageError, match=message):
        to_flax(layer)


@pytest.mark.filterwarnings("default")
def test_live_recorded_modules_give_the_same_output_here(record, tools):
    pytest.importorskip("flax")
    for case in record.flax():
        for theirs in (case["modules"], case["theirs"]):
            phi = case["nonlinearity"] if theirs is case["theirs"] else None
            difference = compare(case, from_flax(theirs, nonlinearity=phi), tools)
            assert difference <= tools.TOLERANCE[case["dtype"]], case["name"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("optimized", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OURS)
def test_live_our_layer_runs_in_flax_and_survives_a_round_trip(name, dtype, optimized, record, tools):
    pytest.importorskip("flax")
    import jax
    from flax import nnx

    jax.config.update("jax_enable_x64", True)
    layer = make_layer(name, getattr(torch, dtype), tools)
    cells = {"rnn": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell if optimized else nnx.LSTMCell}
    options = {"rngs": nnx.Rngs(0), "param_dtype": dtype, "dtype": dtype}
    if OURS[name][1].get("nonlinearity") == "relu":
        options["activation_fn"] = jax.nn.relu
    x = np.random.default_rng(1).normal(size=(2, 6, 5)).astype(dtype)
    current, stack = x, []
    for value in to_flax(layer, optimized=optimized):
        rnns = [nnx.RNN(cells[layer.spec.kind](current.shape[-1], 7, **options)) for _ in range(2)]
        module = nnx.Bidirectional(*rnns) if layer.bidirectional else rnns[0]
        nnx.update(module, value)
        stack.append(module)
        current = np.asarray(module(current))
    for same_layer in (
        layer,
        from_flax(stack),
        from_flax([nnx.state(value, nnx.Param) for value in stack], nonlinearity=phi(layer)),
    ):
        assert tools.difference([same_layer(torch.from_numpy(x))[0]], [current]) <= tools.TOLERANCE[dtype]


def phi(layer):
    return layer.spec.activation if layer.spec.kind == "rnn" else None
