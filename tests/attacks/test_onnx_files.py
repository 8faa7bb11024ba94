"""Hostile ONNX files: each is refused by one short error, before memory is taken."""

from __future__ import annotations

import struct
import tracemalloc
import warnings

import numpy as np
import pytest

from seriatim import runtime
from seriatim.errors import RunError, SeriatimError
from seriatim.runtime.onnx import operators

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

X = np.ones((2, 1, 3), np.float32)


def small_model():
    """An LSTM and a matrix product."""
    generator = np.random.default_rng(0)
    weights = {"W": (1, 8, 3), "R": (1, 8, 2), "B": (1, 16), "M": (2, 4)}
    constants = [
        numpy_helper.from_array(generator.normal(size=shape).astype(np.float32), name)
        for name, shape in weights.items()
    ]
    nodes = [
        helper.make_node("LSTM", ["X", "W", "R", "B", "", "state_in_h", "state_in_c"],
                         ["Y", "state_out_h", "state_out_c"], "lstm", hidden_size=2),
        helper.make_node("MatMul", ["Y", "M"], ["answer"]),
    ]  # fmt: skip

    def value(name, shape):
        return helper.make_tensor_value_info(name, 1, shape)

    states = [value(f"state_in_{name}", [1, "B", 2]) for name in "hc"]
    after = [value(f"state_out_{name}", [1, "B", 2]) for name in "hc"]
    graph = helper.make_graph(
        nodes, "g", [value("X", ["T", "B", 3]), *states], [value("answer", ["T", 1, "B", 4]), *after], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def attempt(path, content):
    """Load and run; return the error, or None."""
    path.write_bytes(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = runtime.load(path)
            state = np.zeros((1, 1, 2), np.float32)
            model.run({"X": X, "state_in_h": state, "state_in_c": state})
    except SeriatimError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
        return error
    return None


def refused(path, model, match):
    """Check that a model is refused and takes little memory."""
    tracemalloc.start()
    try:
        error = attempt(path, model if isinstance(model, bytes) else model.SerializeToString())
        assert error is not None
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert match in str(error)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.onnx"


def test_the_model_itself_runs(file):
    assert attempt(file, small_model().SerializeToString()) is None


def test_each_cut_of_the_file_is_refused(file):
    content = small_model().SerializeToString()
    cuts = [length for length in range(len(content)) if attempt(file, content[:length]) is None]
    assert len(cuts) <= 1  # the version of the operators may be the last field, and a file may end after the graph


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"PK\x03\x04", b"\x80" * 100])
def test_other_files_are_refused(file, content):
    refused(file, content, "no ONNX model that this runtime reads")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a runtime folder"):
        runtime.load(tmp_path / "none.onnx")


def test_data_in_another_file_are_refused(file):
    model = small_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    refused(file, model, "tensor 'W' is stored in another file")


@pytest.mark.parametrize("dims", [[1 << 40, 1 << 40], [-1, 3], [1 << 62, 1 << 62, 4], [1] * 40])
def test_sizes_that_the_file_does_not_have_are_refused(file, dims):
    model = small_model()
    model.graph.initializer[3].dims[:] = dims
    refused(file, model, "tensor 'M'")


@pytest.mark.parametrize("type_", [0, 8, 10, 14, 16, 99])
def test_types_that_numpy_lacks_are_refused(file, type_):
    model = small_model()
    model.graph.initializer[3].data_type = type_
    refused(file, model, f"tensor 'M' has the type {type_}")


def bomb(node, *constants):
    """A model with one more node, which makes a large result."""
    model = small_model()
    model.graph.node.append(node)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in constants)
    return model


def test_results_that_are_too_large_are_refused(file):
    sizes = np.array([1 << 20, 1 << 20], np.int64)
    column, row = np.zeros((1 << 17, 1), np.float32), np.zeros((1, 1 << 17), np.float32)
    nodes = [
        bomb(helper.make_node("ConstantOfShape", ["s"], ["big"]), ("s", sizes)),
        bomb(helper.make_node("Expand", ["one", "s"], ["big"]), ("one", np.ones(1)), ("s", sizes)),
        bomb(helper.make_node("Add", ["a", "b"], ["big"]), ("a", column), ("b", row)),
        bomb(helper.make_node("MatMul", ["a", "b"], ["big"]), ("a", column), ("b", row)),
        bomb(helper.make_node("Gemm", ["a", "b"], ["big"]), ("a", column), ("b", row)),
        bomb(helper.make_node("Gather", ["a", "i"], ["big"]), ("a", row), ("i", np.zeros(1 << 17, np.int64))),
        bomb(helper.make_node("Range", ["z", "n", "o"], ["big"]),
             *zip("zno", np.array([0, 1 << 50, 1], np.int64), strict=True)),
        bomb(helper.make_node("Conv", ["p", "f"], ["big"], pads=[1 << 20] * 4),
             ("p", np.zeros((1, 1, 2, 2), np.float32)), ("f", np.zeros((1, 1, 1, 1), np.float32))),
    ]  # fmt: skip
    for model in nodes:
        refused(file, model, "wanted at most")


def test_a_result_that_doubles_again_and_again_is_refused(file, monkeypatch):
    monkeypatch.setattr(operators, "MOST_VALUES", 1 << 18)
    model = small_model()
    for number in range(60):
        name = f"d{number}" if number else "M"
        model.graph.node.append(helper.make_node("Concat", [name, name], [f"d{number + 1}"], axis=0))
    refused(file, model, "wanted at most")


@pytest.mark.parametrize(
    ("node", "match"),
    [
        (helper.make_node("Loop", ["M"], ["z"]), "no operator for Loop"),
        (helper.make_node("LogSoftmx", ["M"], ["z"]), "did you mean 'LogSoftmax'"),
        (helper.make_node("Add", ["later", "M"], ["z"]), "reads 'later', which no node before it makes"),
        (helper.make_node("Add", ["z", "M"], ["z"]), "reads 'z'"),
        (helper.make_node("Add", ["M"], ["z"]), "its inputs do not fit"),
        (helper.make_node("Reshape", ["M", "M"], ["z"]), "its inputs do not fit"),
        (helper.make_node("Transpose", ["M"], ["z"], perm=[5, 5]), "its inputs do not fit"),
        (helper.make_node("Cast", ["M"], ["z"], to=16), "the type 16"),
        (helper.make_node("Split", ["M"], ["z"], axis=7), "its inputs do not fit"),
        (helper.make_node("Constant", [], ["z"]), "a constant without a value"),
        (helper.make_node("Add", ["M", "M"], ["z"], domain="com.evil"), "a node of 'com.evil'"),
        (helper.make_node("GRU", ["X", "M", "M"], ["z"], "g", hidden_size=2), "GRU 'g': "),
        (helper.make_node("RNN", ["X"], ["z"], "g"), "RNN 'g': W: missing"),
        (helper.make_node("LSTM", ["X", "W", "R"], ["z"], "g", hidden_size=9), "hidden_size: got 9, wanted 2"),
        (helper.make_node("LSTM", ["X", "W", "R"], ["z"], "g", clip=float("nan")), "clip"),
        (helper.make_node("LSTM", ["X", "W", "R"], ["z"], "g", direction="up"), "direction"),
        (helper.make_node("LSTM", ["X", "W", "R"], ["z"], "g", activations=["Tanh"] * 3), "activations"),
    ],
)  # fmt: skip
def test_nodes_that_cannot_run_are_refused(file, node, match):
    model = small_model()
    model.graph.node.append(node)
    refused(file, model, match)


def test_a_graph_in_an_attribute_is_refused(file):
    model = small_model()
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["M"], ["z"], then_branch=inner, else_branch=inner))
    refused(file, model, "attribute 'else_branch' is a graph")


def scan(nodes, outputs=("after", "out"), **attributes):
    """A node Scan over M with the state ``one``; its body has the nodes."""
    body = helper.make_graph(
        nodes, "body", [helper.make_tensor_value_info(name, 1, None) for name in ("before", "value")],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
    )  # fmt: skip
    return helper.make_node(
        "Scan", ["one", "M"], ["z", "all"], "s", **{"body": body, "num_scan_inputs": 1, **attributes}
    )


def step(op_type, *inputs, output="after", **attributes):
    return helper.make_node(op_type, list(inputs), [output], **attributes)


OUT = step("Identity", "value", output="out")


@pytest.mark.parametrize(
    ("node", "match"),
    [
        (scan([OUT]), "no node of its body makes the output 'after'"),
        (scan([step("Neg", "later"), OUT]), "Neg reads 'later', which no node before it makes"),
        (scan([step("LogSoftmx", "before"), OUT]), "no operator for LogSoftmx"),
        (scan([step("Neg", "before"), scan([OUT])]), "attribute 'body' is a graph"),
        (scan([step("Neg", "before"), OUT], num_scan_inputs=-1), "num_scan_inputs is -1"),
        (scan([step("Neg", "before"), OUT], body=1), "no body"),
        (scan([step("Neg", "before"), OUT], scan_input_axes=[9]), "its inputs do not fit"),
        (scan([step("Neg", "before"), OUT], scan_output_axes=[0, 0]), "scan_output_axes has to have 1"),
        (scan([step("Concat", "before", "before", axis=0), step("Identity", "after", output="out")]),
         "an output changes its shape"),
        (scan([step("Expand", "before", "wide"), step("Identity", "after", output="out")]), "wanted at most"),
    ],
)  # fmt: skip
def test_bodies_that_cannot_run_are_refused(file, node, match):
    refused(file, bomb(node, ("one", np.ones(1, np.float32)), ("wide", np.array([1 << 40], np.int64))), match)


@pytest.mark.parametrize("has_scan", [False, True])
def test_changed_bytes_raise_our_errors_only(file, has_scan):
    model = small_model()
    if has_scan:
        model = bomb(scan([step("Neg", "before"), OUT]), ("one", np.ones(1, np.float32)))
    content = model.SerializeToString()
    assert attempt(file, content) is None
    generator = np.random.default_rng(0)
    refusals = 0
    tracemalloc.start()
    try:
        for _ in range(300):
            changed = bytearray(content)
            for place in generator.integers(0, len(content), generator.integers(1, 4)):
                changed[place] = generator.integers(0, 256)
            refusals += attempt(file, bytes(changed)) is not None
        assert tracemalloc.get_traced_memory()[1] < 200_000_000
    finally:
        tracemalloc.stop()
    assert refusals > 60


def test_too_many_steps_are_refused(file):
    node = scan([step("Neg", "before"), OUT])
    node.input[1] = "long"
    long = helper.make_node("ConstantOfShape", ["wide"], ["long"], value=numpy_helper.from_array(np.ones(1, np.int8)))
    model = bomb(long, ("one", np.ones(1, np.float32)), ("wide", np.array([1 << 21], np.int64)))
    model.graph.node.append(node)
    refused(file, model, f"got {1 << 21} steps, wanted the same number for all inputs, 1 to {1 << 20}")


def test_functions_of_a_file_are_refused(file):
    model = small_model()
    model.functions.add(name="Add", domain="evil")
    refused(file, model, "it has functions")


def test_other_versions_are_refused(file):
    for version in (0, 12, 999):
        model = small_model()
        model.opset_import[0].version = version
        refused(file, model, f"operators of version {version}, wanted 13 to")


def test_an_output_that_no_node_makes_is_refused(file):
    model = small_model()
    model.graph.output.append(helper.make_tensor_value_info("nothing", 1, [1]))
    refused(file, model, "no node makes the output 'nothing'")


def test_long_numbers_and_wrong_types_of_fields_are_refused(file):
    content = small_model().SerializeToString()
    for field in (b"\x38\x01", b"\x3b", b"\x3c", b"\x3d\x00", b"\x72\x02\x0a\x7f", b"\x42" + struct.pack("<Q", 2**63)):
        attempt(file, content + field)  # our errors only
