"""Conversion from and to ONNX gives the same outputs; ``test_onnx_cases`` has ONNX's own cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seriatim import nn
from seriatim.errors import MissingExtra, UsageError
from seriatim.nn.interchange import OnnxNode, from_onnx, onnx_model, read_onnx, to_onnx

RECORDED = "onnxruntime"


def node_of(case, tools):
    recorded = case["theirs"]
    inputs = {name: tools.as_array(value, case["dtype"]) for name, value in recorded["inputs"].items()}
    return OnnxNode(recorded["op_type"], recorded["attributes"], inputs)


def joined(y):
    """Convert Y [T, D, B, H] to our output [T, B, D·H]."""
    return np.moveaxis(y, 1, 2).reshape(y.shape[0], y.shape[2], -1)


def compare(case, result, tools):
    """The largest difference between the outputs of a case and of (layer, call)."""
    dtype, (layer, call) = case["dtype"], result
    x, hx = (tools.as_array(case["x"], dtype), [tools.as_array(value, dtype) for value in case["hx"]])
    lengths = [int(value) for value in case["lengths"]]
    output, state = layer(torch.from_numpy(x), tools.as_torch(hx), lengths=lengths, **call)
    names_of_inputs = [
        joined(tools.as_array(case["output"], dtype)),
        *(tools.as_array(value, dtype) for value in case["state"]),
    ]
    return tools.difference([output, *tools.state_of(state)], names_of_inputs)


def test_node_gives_the_same_output_here(case, tools):
    assert compare(case, from_onnx(node_of(case, tools), with_call=True), tools) <= tools.TOLERANCE[case["dtype"]]


def test_node_survives_a_round_trip(case, tools):
    recorded = node_of(case, tools)
    layer, call = from_onnx(recorded, with_call=True)
    (result,) = to_onnx(layer, **call)
    assert result.op_type == recorded.op_type
    assert recorded.attributes.items() <= ({"linear_before_reset": 0} | dict(result.attributes)).items()
    assert result.inputs.keys() == recorded.inputs.keys()
    assert all(np.array_equal(value, recorded.inputs[name]) for name, value in result.inputs.items())


OURS = {
    "rnn": (nn.RNN, {"nonlinearity": "relu", "num_layers": 2}),
    "rnn-two": (nn.RNN, {"nonlinearity": "sigmoid", "bidirectional": True}),
    "lstm": (nn.LSTM, {"num_layers": 2, "batch_first": True}),
    "lstm-peephole": (nn.LSTM, {"peephole": True}),
    "lstm-two": (nn.LSTM, {"peephole": True, "bidirectional": True, "num_layers": 2}),
    "lstm-free": (nn.LSTM, {"bias": False, "peephole": True}),
    "lstm-coupled": (nn.LSTM, {"coupled": True, "num_layers": 2}),
    "lstm-coupled-two": (nn.LSTM, {"coupled": True, "peephole": True, "bidirectional": True}),
    "lstm-coupled-free": (nn.LSTM, {"coupled": True, "bias": False, "clip": 0.3}),
    "gru": (nn.GRU, {}),
    "gru-two": (nn.GRU, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    "gru-before": (nn.GRU, {"reset_after": False, "num_layers": 3}),
    "gru-before-two": (nn.GRU, {"reset_after": False, "bidirectional": True}),
    "gru-free": (nn.GRU, {"bias": False}),
    "rnn-clip": (nn.RNN, {"nonlinearity": "relu", "clip": 0.3}),
    "lstm-clip": (nn.LSTM, {"peephole": True, "clip": 0.3}),
    "gru-clip": (nn.GRU, {"clip": 0.3}),
    "gru-before-clip": (nn.GRU, {"reset_after": False, "clip": 0.3}),
}


def make_layer(name, dtype, tools):
    torch.manual_seed(4)
    make, options = OURS[name]
    return tools.perturb(make(5, 7, dtype=dtype, **options))


def inputs_of(layer, dtype):
    """x, lengths and a first state for a layer."""
    x, lengths = torch.randn(4, 3, 5, dtype=dtype), [4, 1, 3]
    shape = (layer.num_layers * (2 if layer.bidirectional else 1), 3, 7)
    state = tuple(torch.randn(shape, dtype=dtype) for _ in layer.spec.states)
    return x.transpose(0, 1) if layer.batch_first else x, lengths, state if len(state) > 1 else state[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OURS)
def test_our_layer_survives_a_round_trip(name, dtype, tools):
    layer = make_layer(name, dtype, tools)
    back = from_onnx(to_onnx(layer))
    assert not back.batch_first, "nodes have layout 0"
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in layer.state_dict().items())
    layer.batch_first = False
    assert repr(back) == repr(layer)


def lstm_with_input_forget(node, x, h, c):
    """The operator's LSTM in one direction, with f_t = 1 - i_t: x [T, B, I] → Y [T, B, H], Y_h and Y_c."""
    w, r = node.inputs["W"][0], node.inputs["R"][0]
    b = node.inputs["B"][0] if "B" in node.inputs else np.zeros(2 * len(w))
    p_i, p_o, _ = np.split(node.inputs["P"][0] if "P" in node.inputs else np.zeros(3 * h.shape[1]), 3)
    clip, output = node.attributes.get("clip", np.inf), []

    def sigmoid(a):
        return 1 / (1 + np.exp(-np.clip(a, -clip, clip)))

    for step in x:
        a_i, a_o, _, a_c = np.split(step @ w.T + h @ r.T + b[: len(w)] + b[len(w) :], 4, axis=1)
        i = sigmoid(a_i + p_i * c)
        c = (1 - i) * c + i * np.tanh(np.clip(a_c, -clip, clip))
        h = sigmoid(a_o + p_o * c) * np.tanh(c)
        output.append(h)
    return np.stack(output), h, c


@pytest.mark.parametrize("options", [{}, {"P": True}, {"clip": 0.4, "P": True}, {"B": False}])
def test_input_forget_is_the_coupled_lstm(options):
    """Exact up to the rounding of σ(-a) against 1 - σ(a)."""
    random, units = np.random.default_rng(0), 5
    shapes = {"W": (1, 20, 3), "R": (1, 20, units), "B": (1, 40), "P": (1, 15)}
    names_of_inputs = [name for name in shapes if options.get(name, name != "P")]
    inputs = {name: random.standard_normal(shapes[name]) for name in names_of_inputs}
    attributes = {"hidden_size": units, "input_forget": 1} | {key: options[key] for key in options if key == "clip"}
    node = OnnxNode("LSTM", attributes, inputs)
    layer = from_onnx(node)
    assert layer.coupled and layer.spec.kind == "cifg"
    x, h, c = (random.standard_normal(shape) for shape in ((6, 2, 3), (2, units), (2, units)))
    expected = lstm_with_input_forget(node, x, h, c)
    output, (h_n, c_n) = layer(torch.from_numpy(x), (torch.from_numpy(h[None]), torch.from_numpy(c[None])))
    for value, reference in zip((output, h_n[0], c_n[0]), expected, strict=True):
        assert np.abs(value.detach().numpy() - reference).max() < 1e-14
    (back,) = to_onnx(layer)
    assert back.attributes["input_forget"] == 1
    again = lstm_with_input_forget(back, x, h, c)
    assert all(
        np.abs(value - reference_value).max() < 1e-14 for value, reference_value in zip(again, expected, strict=True)
    )


def test_a_changed_coupled_gate_is_noticed():
    """The forget block of such a node is not read, its input block is."""
    random = np.random.default_rng(0)
    inputs = {"W": random.standard_normal((1, 8, 3)), "R": random.standard_normal((1, 8, 2))}
    x = torch.from_numpy(random.standard_normal((4, 1, 3)))

    def run(block):
        changed = inputs["W"].copy()
        changed[:, block * 2 : block * 2 + 2] += 1e-3
        return from_onnx(OnnxNode("LSTM", {"input_forget": 1}, inputs | {"W": changed}))(x)[0]

    plain = from_onnx(OnnxNode("LSTM", {"input_forget": 1}, inputs))(x)[0]
    assert torch.equal(run(2), plain), "block f"
    assert not torch.allclose(run(0), plain, atol=1e-6), "block i"


def constants(op_type="GRU", directions=1, **more):
    rows = {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type] * 2
    ones = {"W": np.ones((directions, rows, 3), np.float32), "R": np.ones((directions, rows, 2), np.float32)}
    return ones | more


def node(op_type="GRU", inputs=None, **attributes):
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    return OnnxNode(op_type, attributes, constants(op_type, directions) if inputs is None else inputs, "it")


STATE = np.full((1, 4, 2), 0.5, np.float32)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ([], "layers: got none"),
        (node(clip=0.0), "clip: got 0, wanted more than 0"),
        (node(direction="sideways"), "direction: got 'sideways', wanted forward, reverse, bidirectional"),
        (node(zone=1), "unknown attribute zone"),
        (node(hidden_size=5), "hidden_size: got 5, wanted 2, as R has"),
        (node(activations=["Sigmoid", "Relu"]), "activations: got sigmoid relu, wanted sigmoid tanh"),
        (node("LSTM", activations=["Sigmoid", "Tanh"]), "activations: got 2, wanted 3"),
        (node("RNN", activations=["Elu"]), "activations: got elu, wanted tanh, relu or sigmoid"),
        (node("RNN", direction="bidirectional", activations=["Tanh", "Relu"]), "got tanh relu, .* each direction"),
        (OnnxNode("Gemm", {}, {}), "got a node Gemm, wanted RNN, LSTM or GRU"),
        (OnnxNode("GRU", {}, {}, "x"), "W: missing, wanted the weights of x"),
        (node(inputs=constants(B=np.ones((1, 6), np.float32))), r"B: got shape \[1, 6\], wanted \[1, 12\]"),
        (node(inputs=constants(R=np.float32(1))), "R: got a single number, wanted an array"),
        (node(inputs=constants("LSTM")), r"W: got shape \[1, 8, 3\], wanted \[1, 6, 3\]"),
        (node(inputs={name: value.astype(np.float16) for name, value in constants().items()}), "W: got float16"),
        (node(direction="reverse"), "direction=reverse belongs to the call here; with_call=True"),
        (node(inputs=constants(initial_h=STATE)), "a constant initial state belongs to the call here"),
        (node(inputs=constants(sequence_lens=np.ones(4, np.int32))), "constant sequence_lens belongs to the call"),
        ([node(), node(layout=1)], "layout: the nodes of a stack have 0 and 1"),
        ([node(), node()], "layer 2 of the stack has input_size 3, wanted 2"),
    ],
    ids=range(20),
)
def test_option_that_seriatim_lacks_is_named(theirs, message):
    with pytest.raises(UsageError, match=message):
        from_onnx(theirs)


def test_stack_of_nodes_needs_one_direction_and_the_same_lengths():
    narrow = {"W": np.ones((1, 6, 2), np.float32), "R": np.ones((1, 6, 2), np.float32)}
    with pytest.raises(UsageError, match="direction: the nodes of a stack have forward and reverse"):
        from_onnx([node(), node(inputs=narrow, direction="reverse")], with_call=True)
    with pytest.raises(UsageError, match="sequence_lens: the nodes of a stack differ"):
        from_onnx([node(), node(inputs=narrow | {"sequence_lens": np.ones(4, np.int32)})], with_call=True)


def test_with_call_returns_constant_state_and_direction(tools):
    """Only the second of two nodes has a constant first state, [B, D, H]."""
    first, second = node(layout=1), node(layout=1, inputs=constants(initial_h=np.moveaxis(STATE, 0, 1)))
    second = OnnxNode("GRU", second.attributes, second.inputs | {"W": np.ones((1, 6, 2), np.float32)})
    layer, call = from_onnx([first, second], with_call=True)
    assert layer.batch_first
    assert list(call) == ["hx"]
    assert torch.equal(call["hx"], torch.cat([torch.zeros(1, 4, 2), torch.from_numpy(STATE)]))
    layer(torch.zeros(4, 5, 3), **call)
    layer, call = from_onnx(node("LSTM", constants("LSTM", initial_c=STATE), direction="reverse"), with_call=True)
    assert call["reverse"] is True
    assert not call["hx"][0].any() and torch.equal(call["hx"][1], torch.from_numpy(STATE))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.LSTM(2, 3, proj_size=2), "proj_size=2 has no place in ONNX"),
        (nn.LSTM(2, 3, layer_norm=True), "layer_norm=True has no place in ONNX"),
        (nn.GRU(2, 3, zoneout=0.1), "zoneout=0.1 has no place in ONNX"),
        (torch.nn.GRU(2, 3), "got torch.nn.modules.rnn.GRU"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value),
)
def test_option_that_onnx_lacks_is_named(layer, message):
    with pytest.raises(UsageError, match=message):
        to_onnx(layer)


def test_reverse_is_for_one_direction_and_dropout_is_left_out():
    with pytest.raises(UsageError, match="reverse: the layer reads in both directions"):
        to_onnx(nn.GRU(2, 3, bidirectional=True), reverse=True)
    assert to_onnx(nn.GRU(2, 3), reverse=True)[0].attributes["direction"] == "reverse"
    assert len(to_onnx(nn.GRU(2, 3, 2, dropout=0.5, recurrent_dropout=0.1))) == 2


def test_missing_onnx_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(MissingExtra, match=r"seriatim\[onnx\]"):
        onnx_model(nn.GRU(2, 3))
    with pytest.raises(MissingExtra, match=r"seriatim\[onnx\]"):
        read_onnx("model.onnx")


@pytest.fixture
def live(record):
    """onnx and onnxruntime, if they are installed."""
    pytest.importorskip("onnxruntime")
    return pytest.importorskip("onnx")


def run(model, **inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)


@pytest.mark.filterwarnings("default")
def test_live_recorded_nodes_give_the_same_output_here(live, record, tools, tmp_path):
    for case in record.onnxruntime():
        model = record.model_of(case)
        live.save(model, tmp_path / "it.onnx")
        proto = model.graph.node[0]
        for theirs in (
            (model,),
            (proto, model.graph.initializer),
            (proto, case["theirs"]["inputs"]),
            (tmp_path / "it.onnx",),
        ):
            result = from_onnx(*theirs, with_call=True)
            assert compare(case, result, tools) <= tools.TOLERANCE["float32"], case["name"]


@pytest.mark.filterwarnings("default")
def test_live_float64_against_the_reference(live, record, tools):
    """onnxruntime has no float64. ONNX's reference evaluator has, but without lengths, and only a tanh RNN."""
    from onnx.reference import ReferenceEvaluator

    for case in record.nodes("float64"):
        if case["theirs"]["attributes"].get("activations", ["Tanh"])[0] != "Tanh":
            continue
        states = dict(zip(("initial_h", "initial_c"), case["hx"], strict=False))
        inputs = {"X": case["x"], "sequence_lens": np.full(2, len(case["x"]), np.int32)} | states
        output, *state = ReferenceEvaluator(record.model_of(case)).run(None, inputs)
        full = case | {"lengths": inputs["sequence_lens"], "output": output, "state": state}
        result = from_onnx(record.model_of(case), with_call=True)
        assert compare(full, result, tools) <= tools.TOLERANCE["float64"], case["name"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", OURS)
def test_live_our_layer_runs_in_onnxruntime(name, live, tools):
    layer = make_layer(name, torch.float32, tools).eval()
    x, lengths, hx = inputs_of(layer, torch.float32)
    state = dict(zip(("h_0", "c_0"), (value.numpy() for value in tools.state_of(hx)), strict=False))
    for reverse in (False,) if layer.bidirectional else (False, True):
        model = onnx_model(layer, lengths=True, state=True, reverse=reverse)
        result = run(model, x=x.contiguous().numpy(), lengths=np.array(lengths, np.int32), **state)
        output, last = layer(x, hx, lengths=lengths, reverse=reverse)
        assert tools.difference([output, *tools.state_of(last)], result) <= tools.TOLERANCE["float32"]
    result = run(onnx_model(layer), x=x.contiguous().numpy())
    output, last = layer(x)
    assert tools.difference([output, *tools.state_of(last)], result) <= tools.TOLERANCE["float32"]
    names = [f"l{number}" for number in range(layer.num_layers)]
    back = from_onnx(onnx_model(layer), node=names)
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in layer.state_dict().items())


@pytest.mark.filterwarnings("default")
def test_live_nodes_of_a_model_are_selected_by_name(live):
    model = onnx_model(nn.GRU(2, 3, 2))
    with pytest.raises(UsageError, match="got a model with 2 recurrent nodes, wanted node= with names of l0, l1"):
        from_onnx(model)
    with pytest.raises(UsageError, match=r"node: no recurrent node 'l2' \(known: l0, l1\)"):
        from_onnx(model, node="l2")
    assert from_onnx(model, node="l1").input_size == 3
    del model.graph.node[:]
    with pytest.raises(UsageError, match="got a model with no recurrent nodes"):
        from_onnx(model)
    with pytest.raises(UsageError, match="theirs: got int, wanted a model of ONNX"):
        from_onnx(3)


@pytest.mark.filterwarnings("default")
def test_live_weights_must_be_constants(live):
    model = onnx_model(nn.GRU(2, 3))
    weight = next(value for value in model.graph.initializer if value.name == "W_l0")
    model.graph.initializer.remove(weight)
    with pytest.raises(UsageError, match="W: 'W_l0' is no constant of the model or of initializers"):
        from_onnx(model)
    model.graph.node.insert(0, live.helper.make_node("Constant", [], ["W_l0"], value=weight))
    assert from_onnx(model).input_size == 2
