"""Cells of flax compute the same here, and ours there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim import nn
from seriatim.errors import UsageError
from seriatim.nn.interchange import from_flax, to_flax

RECORDED = "flax"


def compare(case, layer, tools):
    """The largest difference between a case's outputs, where a row has steps, and a layer's."""
    dtype, lengths = case["dtype"], case["lengths"]
    output, state = layer(torch.from_numpy(tools.as_array(case["x"], dtype)), lengths=[int(one) for one in lengths])
    wanted, *last = [tools.as_array(one, dtype) for one in (case["output"], *case["state"])]
    alive = np.arange(wanted.shape[1]) < np.asarray(lengths)[:, None]
    wanted = np.where(alive[:, :, None], wanted, 0).astype(dtype)  # flax goes on over the padding
    return tools.difference([output, *tools.state_of(state)], [wanted, *last])


def params(case, tools):
    return [tools.nested(one, case["dtype"]) for one in case["theirs"]]


def test_parameters_of_flax_compute_the_same_here(case, tools):
    layer = from_flax(params(case, tools), nonlinearity=case["nonlinearity"])
    assert layer.batch_first
    assert compare(case, layer, tools) <= tools.TOLERANCE[case["dtype"]]


def test_they_go_back_as_they_came(case, tools):
    def leaves(tree):
        return [one for key in sorted(tree) for one in leaves(tree[key])] if isinstance(tree, dict) else [tree]

    def skeleton(tree):
        return {key: skeleton(one) for key, one in tree.items()} if isinstance(tree, dict) else None

    for given in params(case, tools):
        layer = from_flax(given, nonlinearity=case["nonlinearity"])
        (found,) = to_flax(layer, optimized="ii" not in given.get("cell", {}))
        assert skeleton(found) == skeleton(given)
        assert tools.difference(leaves(found), leaves(given)) == 0


OURS = {
    "rnn": (nn.RNN, {"nonlinearity": "relu"}),
    "rnn-two": (nn.RNN, {"bidirectional": True}),
    "lstm": (nn.LSTM, {"num_layers": 2}),
    "lstm-two": (nn.LSTM, {"num_layers": 2, "bidirectional": True}),
    "lstm-free": (nn.LSTM, {"bias": False}),
    "gru": (nn.GRU, {}),
    "gru-two": (nn.GRU, {"num_layers": 2, "bidirectional": True}),
}


def ours(name, dtype, tools):
    torch.manual_seed(4)
    make, options = OURS[name]
    layer = tools.perturb(make(5, 7, batch_first=True, dtype=dtype, **options))
    if make is nn.GRU:
        with torch.no_grad():
            for key, one in layer.named_parameters():
                if key.startswith("bias_hh"):
                    one[14:] = 0  # flax has no bias there
    return layer


@pytest.mark.parametrize("optimized", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_a_layer_of_ours_comes_back(name, dtype, optimized, tools):
    layer = ours(name, dtype, tools)
    back = from_flax(to_flax(layer, optimized=optimized), nonlinearity=OURS[name][1].get("nonlinearity"))
    x = torch.randn(2, 6, 5, dtype=dtype)
    found, wanted = back(x)[0], layer(x)[0]
    assert tools.difference([found], [wanted]) <= tools.TOLERANCE[str(found.dtype).removeprefix("torch.")]


def cell(gates=4, bias="dense_h", dtype=np.float32):
    dense = {
        "dense_i": {"kernel": np.ones((3, 2 * gates), dtype)},
        "dense_h": {"kernel": np.ones((2, 2 * gates), dtype)},
    }
    if bias:
        dense[bias]["bias"] = np.ones(2 * gates, dtype)
    return dense


class Module:
    """A module of flax as far as it is read."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def sigmoid():
    """A function with this name."""


@pytest.mark.parametrize(
    ("theirs", "named"),
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
def test_what_has_no_place_here_is_named(theirs, named):
    with pytest.raises(UsageError, match=named):
        from_flax(theirs)


def test_reverse_of_an_rnn_means_nothing_in_a_bidirectional():
    both = Module(forward_rnn=Module(cell=cell(), reverse=False), backward_rnn=Module(cell=cell(), reverse=True))
    assert from_flax(both).bidirectional


def test_the_nonlinearity_is_a_simple_cells():
    with pytest.raises(UsageError, match="nonlinearity: got 'relu' for a cell with gates"):
        from_flax(cell(), nonlinearity="relu")
    with pytest.raises(UsageError, match="nonlinearity: got 'relu', wanted the module's own, sigmoid"):
        from_flax(Module(**cell(1, "dense_i"), activation_fn=sigmoid), nonlinearity="relu")
    with pytest.raises(UsageError, match="activation: got 'gelu'"):
        from_flax(cell(1, "dense_i"), nonlinearity="gelu")
    assert from_flax(Module(**cell(1, "dense_i"), activation_fn=sigmoid)).nonlinearity == "sigmoid"
    assert not from_flax(Module(cell=cell(), time_major=True)).batch_first


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.LSTM(2, 3, proj_size=2), "proj_size=2 has no place in flax nnx"),
        (nn.LSTM(2, 3, peephole=True), "peephole=True"),
        (nn.GRU(2, 3, reset_after=False), "reset_after=False has no place in flax nnx"),
        (nn.GRU(2, 3, zoneout=0.1), "zoneout=0.1"),
        (nn.GRU(2, 3, 2, dropout=0.1), "dropout=0.1 .*inference=True"),
        (nn.GRU(2, 3), "bias_hh of n is not 0"),
        (torch.nn.GRU(2, 3), "got torch.nn.modules.rnn.GRU"),
    ],
    ids=lambda one: None if isinstance(one, str) else repr(one),
)
def test_what_flax_lacks_is_named(layer, named):
    with pytest.raises(UsageError, match=named):
        to_flax(layer)


@pytest.mark.filterwarnings("default")
def test_live_the_recorded_modules(record, tools):
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
def test_live_ours_runs_in_flax_and_comes_back(name, dtype, optimized, record, tools):
    pytest.importorskip("flax")
    import jax
    from flax import nnx

    jax.config.update("jax_enable_x64", True)
    layer = ours(name, getattr(torch, dtype), tools)
    cells = {"rnn": nnx.SimpleCell, "gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell if optimized else nnx.LSTMCell}
    options = {"rngs": nnx.Rngs(0), "param_dtype": dtype, "dtype": dtype}
    if OURS[name][1].get("nonlinearity") == "relu":
        options["activation_fn"] = jax.nn.relu
    x = np.random.default_rng(1).normal(size=(2, 6, 5)).astype(dtype)
    current, stack = x, []
    for one in to_flax(layer, optimized=optimized):
        made = [nnx.RNN(cells[layer.spec.kind](current.shape[-1], 7, **options)) for _ in range(2)]
        module = nnx.Bidirectional(*made) if layer.bidirectional else made[0]
        nnx.update(module, one)
        stack.append(module)
        current = np.asarray(module(current))
    for each in (
        layer,
        from_flax(stack),
        from_flax([nnx.state(one, nnx.Param) for one in stack], nonlinearity=phi(layer)),
    ):
        assert tools.difference([each(torch.from_numpy(x))[0]], [current]) <= tools.TOLERANCE[dtype]


def phi(layer):
    return layer.spec.activation if layer.spec.kind == "rnn" else None
