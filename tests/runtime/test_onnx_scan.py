"""Nodes ``Scan``: each cell as one, beside the twin, and the node itself in the runtime, beside onnxruntime."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from seriatim import runtime
from seriatim.errors import DataError, RunError
from seriatim.kernels import reference
from seriatim.kernels.walk import Walk
from seriatim.kernels.weights import Weights
from seriatim.runtime.recurrent import weight_shapes
from seriatim.spec import VARIANTS, CellSpec

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from seriatim.export.onnx.builder import GraphBuilder  # noqa: E402
from seriatim.export.onnx.cell_steps import CELLS, Cell  # noqa: E402
from seriatim.export.onnx.scan import add_scan  # noqa: E402

TOLERANCE = 2e-6
"""Largest absolute difference of values within ±4. Both compute in float32, in other orders."""
T, B, INPUTS, HIDDEN = 6, 3, 3, 4
LENGTHS = np.array([6, 1, 4], np.int32)
TYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 6, np.dtype(np.int64): 7}


def drawn_weights(spec):
    generator = np.random.default_rng(0)
    return Weights(**{
        name: generator.normal(size=shape).astype(np.float32) * 0.5 for name, shape in weight_shapes(spec).items()
    })  # fmt: skip


def drawn_states(spec):
    """States that are not zero; n of an sLSTM is a sum above 0, and 0 in one row."""
    generator = np.random.default_rng(1)
    states = {name: generator.uniform(-0.9, 0.9, (B, spec.state_size(name))) for name in spec.states}
    if "n" in states:
        states["n"] = np.abs(states["n"]) + 0.5
        states["n"][1] = 0
    return {name: state.astype(np.float32) for name, state in states.items()}


def cell_file(path, spec, weights, *, lengths, reverse, zoneout):
    """Write a model of one node Scan: x, lengths and states → output and states."""
    graph = GraphBuilder(1)
    x = graph.input("x", np.float32, ["T", "B", INPUTS])
    ends = graph.input("lengths", np.int32, ["B"]) if lengths else ""
    states = [graph.input(name, np.float32, ["B", spec.state_size(name)]) for name in spec.states]
    output, final = add_scan(graph, Cell(spec, weights, "cell"), zoneout, x, states, lengths=ends, reverse=reverse)
    graph.output("output", output, np.float32, ["T", "B", spec.output_size])
    for name, value in zip(spec.states, final, strict=True):
        graph.output(f"{name}_next", value, np.float32, ["B", spec.state_size(name)])
    path.write_bytes(graph.model({}).SerializeToString())
    return path


def run_onnxruntime(path, inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [part.name for part in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def largest_difference(file, spec, weights, *, lengths, reverse, zoneout):
    """The largest difference from the twin, of onnxruntime and of the runtime."""
    x = np.random.default_rng(2).normal(size=(T, B, INPUTS)).astype(np.float32)
    if lengths:
        x[np.arange(T)[:, None] >= LENGTHS] = np.nan  # padding may hold anything
    states = drawn_states(spec)
    shares = tuple(
        np.full((1, 1, state.shape[-1]), rate, np.float32)
        for state, rate in zip(states.values(), zoneout, strict=False)
    )
    walk = Walk(LENGTHS.astype(np.int64) if lengths else None, reverse, zoneout=shares)
    output, final, _ = reference.forward(spec, x, tuple(states.values()), weights, walk)
    expected = [output, *final]
    inputs = {"x": x, **states, **({"lengths": LENGTHS} if lengths else {})}
    differences = []
    for results in (run_onnxruntime(file, inputs), runtime.load(file).run(inputs)):
        values = list(results.values())
        assert [value.shape for value in values] == [value.shape for value in expected]
        differences.append(max(np.abs(a - b).max() for a, b in zip(values, expected, strict=True)))
    return max(differences)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("lengths", "reverse"), [(False, False), (True, False), (True, True)])
def test_each_cell_gives_what_the_twin_gives(tmp_path, variant, lengths, reverse):
    spec = CellSpec(input_size=INPUTS, hidden_size=HIDDEN, **VARIANTS[variant])
    weights = drawn_weights(spec)
    zoneout = (0.1, 0.3, 0.2, 0.4)[: len(spec.states)] if lengths and not reverse else ()
    options = {"lengths": lengths, "reverse": reverse, "zoneout": zoneout}
    file = cell_file(tmp_path / "m.onnx", spec, weights, **options)
    assert largest_difference(file, spec, weights, **options) < TOLERANCE


@pytest.mark.parametrize("variant", ["rnn clip", "lstm layer-norm", "gru projection"])
def test_each_cell_without_bias(tmp_path, variant):
    spec = CellSpec(input_size=INPUTS, hidden_size=HIDDEN, bias=False, **VARIANTS[variant])
    weights = drawn_weights(spec)
    options = {"lengths": True, "reverse": False, "zoneout": ()}
    file = cell_file(tmp_path / "m.onnx", spec, weights, **options)
    assert largest_difference(file, spec, weights, **options) < TOLERANCE


def test_a_wrong_step_is_noticed(tmp_path, monkeypatch):
    spec = CellSpec("lstm", INPUTS, HIDDEN, layer_norm=True)
    weights = drawn_weights(spec)
    options = {"lengths": True, "reverse": False, "zoneout": ()}
    right = CELLS["lstm"]

    def exchanged(cell, graph, inputs, state):
        return right.step(dataclasses.replace(cell, spec=SimpleNamespace(**vars(spec), gates="figo")), graph, inputs,
                          state)  # fmt: skip

    monkeypatch.setitem(CELLS, "lstm", dataclasses.replace(right, step=exchanged))
    file = cell_file(tmp_path / "m.onnx", spec, weights, **options)
    assert largest_difference(file, spec, weights, **options) > 0.01


def scan_file(path, *, body=None, outside=(), sequences=("x",), states=("s",), outputs=("last", "all"), **attributes):
    """Write a model of one node Scan: each step adds its value and the constant ``one`` to a sum."""
    helper = onnx.helper

    def value(name, shape=None, code=1):
        return helper.make_tensor_value_info(name, code, shape)

    body = body or helper.make_graph(
        [helper.make_node("Sum", ["before", "value", "one"], ["after"]), helper.make_node("Neg", ["after"], ["out"])],
        "body", [value("before"), value("value")], [value("after"), value("out")],
    )  # fmt: skip
    node = helper.make_node(
        "Scan", [*states, *sequences], list(outputs), "loop", body=body,
        **{"num_scan_inputs": len(sequences), **attributes},
    )  # fmt: skip
    graph = helper.make_graph(
        [*outside, node], "g", [value("x", ["T", "B", 2]), value("s", None)], [value(name) for name in outputs if name],
        [onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )  # fmt: skip
    graph.input[1].CopyFrom(value("s", ["A", "C"]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def scan_inputs(**attributes):
    axis = attributes.get("scan_input_axes", [0])[0]
    x = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    return {"x": x, "s": np.zeros([size for place, size in enumerate(x.shape) if place != axis % 3], np.float32)}


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"scan_input_directions": [1]},
        {"scan_output_directions": [1], "scan_input_directions": [1]},
        {"scan_input_axes": [1], "scan_output_axes": [2]},
        {"scan_input_axes": [-1], "scan_output_axes": [-1]},
    ],
)
def test_scan_gives_what_onnxruntime_gives(tmp_path, attributes):
    file, inputs = scan_file(tmp_path / "m.onnx", **attributes), scan_inputs(**attributes)
    expected, results = run_onnxruntime(file, inputs), runtime.load(file).run(inputs)
    for name, value in expected.items():
        assert results[name].shape == value.shape and np.allclose(results[name], value, rtol=0, atol=1e-6)


def test_scan_without_states_reads_values_that_nodes_outside_make(tmp_path):
    helper = onnx.helper

    def value(name):
        return helper.make_tensor_value_info(name, 1, None)

    body = helper.make_graph([helper.make_node("Mul", ["value", "twice"], ["out"])], "b", [value("value")],
                             [value("out")])  # fmt: skip
    outside = [helper.make_node("Add", ["one", "one"], ["twice"])]
    file = scan_file(tmp_path / "m.onnx", body=body, outside=outside, states=(), outputs=("all",))
    inputs = scan_inputs()
    expected = run_onnxruntime(file, inputs)["all"]
    assert np.array_equal(runtime.load(file).run(inputs)["all"], expected)
    assert np.array_equal(expected, inputs["x"] * 2)


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"num_scan_inputs": 0}, "Scan 'loop': num_scan_inputs is 0, wanted 1 to 2"),
        ({"num_scan_inputs": 3}, "num_scan_inputs is 3"),
        ({"states": ("s", "s")}, "its body has 2 inputs, wanted 3"),
        ({"scan_input_axes": [0, 0]}, "scan_input_axes has to have 1 whole numbers"),
        ({"states": ("",)}, "num_scan_inputs is 1"),
    ],
)
def test_nodes_that_do_not_fit_their_body_are_refused(tmp_path, attributes, match):
    with pytest.raises(RunError, match=match):
        runtime.load(scan_file(tmp_path / "m.onnx", **attributes))


@pytest.mark.parametrize(
    ("shape", "match"), [((0, 3, 2), "got 0, 3 steps, wanted the same number"), ((4, 3, 2), "got 4, 3 steps")]
)
def test_numbers_of_steps_that_do_not_fit_are_refused(tmp_path, shape, match):
    helper = onnx.helper

    def value(name):
        return helper.make_tensor_value_info(name, 1, None)

    body = helper.make_graph([helper.make_node("Neg", ["a"], ["out"])], "b", [value("a"), value("b")], [value("out")])
    two = {"sequences": ("x", "s"), "body": body, "states": (), "outputs": ("all",)}
    file = scan_file(tmp_path / "m.onnx", **two)
    with pytest.raises(DataError, match=match):
        runtime.load(file).run({"x": np.zeros(shape, np.float32), "s": np.zeros((3, 2), np.float32)})
