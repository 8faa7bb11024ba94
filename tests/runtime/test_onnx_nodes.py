"""``runtime.load`` on ONNX files of other programs: ONNX's own cases, and each operator beside onnxruntime."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from seriatim import runtime
from seriatim.errors import DataError, RunError
from seriatim.runtime.onnx.operators import OPERATORS

onnx = pytest.importorskip("onnx")

FLOATS = np.random.default_rng(0).uniform(0.1, 0.9, (2, 3, 4)).astype(np.float32)
IMAGE = np.random.default_rng(1).normal(size=(2, 3, 5, 5)).astype(np.float32)
FILTERS = np.random.default_rng(2).normal(size=(4, 3, 3, 3)).astype(np.float32)
ROW, INDICES = FLOATS[0, 0], np.array([[0, 1], [1, -1]], np.int64)


def integers(*values):
    return np.array(values, np.int64)


OPERATIONS = {
    "Add": [FLOATS, ROW], "Sub": [FLOATS, ROW], "Mul": [FLOATS, ROW], "Div": [FLOATS, ROW], "Pow": [FLOATS, ROW],
    "Div integers": [integers(-7, 7), integers(2, 2)], "Mod": [integers(-7, 7, 3), integers(3, 3, 3)],
    "Mod as in C": [-FLOATS, ROW / 2, {"fmod": 1}],
    "Max": [FLOATS, ROW], "Min": [FLOATS, ROW], "Sum": [FLOATS, ROW], "Abs": [-FLOATS], "Exp": [FLOATS],
    "Log": [FLOATS], "Neg": [FLOATS], "Sqrt": [FLOATS], "Tanh": [FLOATS], "Sigmoid": [FLOATS - 0.5],
    "Relu": [FLOATS - 0.5], "Softplus": [FLOATS - 0.5], "Erf": [FLOATS - 0.5], "Identity": [FLOATS],
    "Not": [FLOATS > 0.5], "And": [FLOATS > 0.5, FLOATS > 0.3], "Equal": [integers(1, 2), integers(1, 3)],
    "Less": [FLOATS, ROW], "Greater": [FLOATS, ROW], "LessOrEqual": [FLOATS, ROW], "GreaterOrEqual": [FLOATS, ROW],
    "Where": [FLOATS > 0.5, FLOATS, ROW], "Shape": [FLOATS], "Gather": [FLOATS, INDICES, {"axis": 1}],
    "GatherElements": [FLOATS[0], np.array([[0, 1, 2, 0]], np.int64), {"axis": 0}], "MatMul": [FLOATS, FLOATS[0].T],
    "Gemm": [FLOATS[0], FLOATS[1], FLOATS[0, :, :3], {"transB": 1, "alpha": 0.5, "beta": 2.0}],
    "Reshape": [FLOATS, integers(0, -1)], "Transpose": [FLOATS, {"perm": [2, 0, 1]}], "Transpose all": [FLOATS],
    "Squeeze": [FLOATS[:1], integers(0)], "Unsqueeze": [FLOATS, integers(0, 4)],
    "Concat": [FLOATS, FLOATS, {"axis": -1}], "Split": [FLOATS, integers(1, 3), {"axis": 2}],
    "Split equal": [FLOATS, {"axis": 2}], "Slice": [FLOATS, integers(1), integers(3), integers(2)],
    "Slice back": [FLOATS, integers(-1), integers(-100), integers(2), integers(-2)],
    "Expand": [ROW, integers(2, 3, 4)], "ConstantOfShape": [integers(2, 3)], "Range": list(integers(2, 9, 3)),
    "Cast": [FLOATS * 3, {"to": 7}], "Softmax": [FLOATS, {"axis": 1}], "LogSoftmax": [FLOATS],
    "LayerNormalization": [FLOATS, ROW, ROW], "BatchNormalization": [IMAGE, *[np.array([1, 2, 3], np.float32)] * 4],
    "Conv": [IMAGE, FILTERS, {"pads": [1, 1, 1, 1], "strides": [2, 2]}],
    "Conv without pads": [IMAGE, FILTERS, {"auto_pad": "NOTSET"}], "TopK": [FLOATS, integers(2), {"largest": 0}],
    "TopK largest": [FLOATS, integers(2)], "ReduceMax": [FLOATS, {"axes": [1], "keepdims": 0}],
    "ReduceMean": [FLOATS, {"axes": [0, 2]}], "ReduceMean all": [FLOATS], "ReduceSum": [FLOATS, integers(1)],
    "ReduceSum all": [FLOATS, integers()], "ReduceSum of no axes": [FLOATS, {"noop_with_empty_axes": 1}],
    "ReduceMean of integers": [integers(-7, 2)], "Constant": [{"value_floats": [1.0, 2.0]}],
}  # fmt: skip


def model_file(path, nodes, inputs, constants, outputs, opset=17):
    """Write a model. ``inputs`` are arrays by name, ``outputs`` names."""
    helper = onnx.helper

    def value(name, array):
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)

    graph = helper.make_graph(
        nodes, "g", [value(*item) for item in inputs.items()],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.filterwarnings("default")
def test_cases_of_onnx(tmp_path):
    """The cases that the installed version of ONNX ships, with weights as constants."""
    from onnx.backend.test.case.node import collect_testcases

    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [case for case in collect_testcases() if case.model.graph.node[0].op_type in ("RNN", "LSTM", "GRU")]
    assert len(cases) == 18
    for case in cases:
        (node,), (tensors, expected) = case.model.graph.node, case.data_sets[0]
        inputs = dict(zip([part.name for part in case.model.graph.input], map(np.asarray, tensors), strict=True))
        for name in [name for name in node.input if name in "WRBP" and name]:
            case.model.graph.initializer.append(onnx.numpy_helper.from_array(inputs.pop(name), name))
        (tmp_path / "m.onnx").write_bytes(case.model.SerializeToString())
        results = runtime.load(tmp_path / "m.onnx").run(inputs)
        for part, array in zip(case.model.graph.output, expected, strict=True):
            assert np.abs(results[part.name] - np.asarray(array)).max() <= 1e-6, case.name


def test_every_operator_has_a_case():
    assert {name.split()[0] for name in OPERATIONS} == set(OPERATORS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operator_gives_what_onnxruntime_gives(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    *arrays, attributes = OPERATIONS[name] if isinstance(OPERATIONS[name][-1], dict) else [*OPERATIONS[name], {}]
    inputs = {f"x{number}": np.asarray(array) for number, array in enumerate(arrays)}
    op_type = name.split()[0]
    outputs = ["y", "z"] if op_type in ("Split", "TopK") else ["y"]
    node = onnx.helper.make_node(op_type, list(inputs), outputs, **attributes)
    file = model_file(tmp_path / "m.onnx", [node], inputs, {}, outputs)
    proto = onnx.load(file)
    for part in proto.graph.output:  # their types are for the node to say
        part.ClearField("type")
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(outputs, inputs)
    results = runtime.load(file).run(inputs)
    for output, array in zip(outputs, expected, strict=True):
        assert results[output].dtype == array.dtype and results[output].shape == array.shape
        assert np.allclose(results[output], array, rtol=1e-5, atol=1e-6)


def run_node(path, op_type, *arrays, **attributes):
    inputs = {f"x{number}": array for number, array in enumerate(arrays)}
    node = onnx.helper.make_node(op_type, list(inputs), ["y"], **attributes)
    return runtime.load(model_file(path / "m.onnx", [node], inputs, {}, ["y"])).run(inputs)["y"]


def test_whole_numbers_are_divided_exactly(tmp_path):
    large = 2**62 + 1
    quotients = run_node(tmp_path, "Div", integers(large, -large, large, -7, 7), integers(1, 1, -1, 2, -2))
    assert quotients.tolist() == [large, -large, -large, -3, -3]
    assert run_node(tmp_path, "ReduceMean", integers(2**61 + 1, 2**61 + 3)).tolist() == [2**61 + 2]
    for op_type in ("Div", "Mod"):
        with pytest.raises(DataError, match=f"{op_type}: a whole number is divided by 0"):
            run_node(tmp_path, op_type, integers(1, 2), integers(1, 0))


def test_batch_normalization_in_training_mode_is_refused(tmp_path):
    parts = [np.array([1, 2, 3], np.float32)] * 4
    with pytest.raises(DataError, match="training_mode is 1, wanted 0"):
        run_node(tmp_path, "BatchNormalization", IMAGE, *parts, training_mode=1)
    assert run_node(tmp_path, "BatchNormalization", IMAGE, *parts, training_mode=0).shape == IMAGE.shape


def test_axes_of_new_files_are_inputs(tmp_path):
    node = onnx.helper.make_node("ReduceMax", ["x", "axes"], ["y"], keepdims=0)
    file = model_file(tmp_path / "m.onnx", [node], {"x": FLOATS}, {"axes": integers(2)}, ["y"], opset=18)
    assert np.array_equal(runtime.load(file).run({"x": FLOATS})["y"], FLOATS.max(2))


def test_outputs_that_the_runtime_does_not_compute_are_refused(tmp_path):
    inputs = {"x": FLOATS, "scale": ROW}
    norm = onnx.helper.make_node("LayerNormalization", ["x", "scale"], ["y", "mean"])
    negative = onnx.helper.make_node("Neg", ["mean"], ["z"])
    for nodes, output, reader in (([norm], "mean", "the model returns"), ([norm, negative], "z", "Neg reads")):
        model = runtime.load(model_file(tmp_path / "m.onnx", nodes, inputs, {}, [output]))
        with pytest.raises(DataError, match=f"{reader} 'mean', an output that this runtime does not compute"):
            model.run(inputs)
    model = runtime.load(model_file(tmp_path / "m.onnx", [norm], inputs, {}, ["y"]))
    assert list(model.run(inputs)) == ["y"]


def test_weights_that_are_no_constants_are_refused(tmp_path):
    arrays = {
        name: np.ones(shape, np.float32) for name, shape in (("X", (1, 1, 2)), ("W", (1, 3, 2)), ("R", (1, 3, 3)))
    }
    node = onnx.helper.make_node("RNN", ["X", "W", "R"], ["Y"], "layer", hidden_size=3)
    with pytest.raises(RunError, match="RNN 'layer': R is no constant of the model"):
        runtime.load(model_file(tmp_path / "m.onnx", [node], arrays, {"W": arrays["W"]}, ["Y"]))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"X": FLOATS[..., :3]}, r"X: got \[2, 3, 3\] of float32, wanted 3 axes, the last of 2"),
        ({"lengths": np.array([0, 1, 2], np.int32)}, "sequence_lens: .*wanted 3 numbers from 1 to 2"),
        ({"h": np.zeros((1, 3, 4), np.float32)}, r"initial_h: got \[1, 3, 4\]"),
    ],
)
def test_inputs_of_a_node_are_checked(tmp_path, inputs, message):
    constants = {"W": np.ones((1, 3, 2), np.float32), "R": np.ones((1, 3, 3), np.float32)}
    good = {"X": FLOATS[..., :2], "lengths": np.array([1, 2, 2], np.int32), "h": np.zeros((1, 3, 3), np.float32)}
    node = onnx.helper.make_node("RNN", ["X", "W", "R", "", "lengths", "h"], ["Y"], hidden_size=3)
    model = runtime.load(model_file(tmp_path / "m.onnx", [node], {**good, **inputs}, constants, ["Y"]))
    with pytest.raises(DataError, match=message):
        model.run({**good, **inputs})
