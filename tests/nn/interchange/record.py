"""Run the other frameworks on small layers and write down what they compute, for the tests of machines without them.

    python tests/nn/interchange/record.py [keras] [flax] [onnxruntime] [onnx]

in an environment that has seriatim's sources on its path and

    keras==3.15.1 with tensorflow-cpu==2.21.0, flax==0.12.8 with jax==0.10.2, onnx==1.23.2, onnxruntime==1.31.1

writes ``recorded/NAME.json``, a case a line. ``keras``, ``flax`` and ``onnxruntime`` hold layers of random weights (of
two decimals) and their outputs; ``onnx`` holds ONNX's own cases of the nodes RNN, LSTM and GRU. The live tests make the
same cases anew.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

T, B, C, H = 3, 2, 3, 2
RECORDED = Path(__file__).parent / "recorded"


class Draw:
    """Arrays of two decimals, the same for the same name."""

    def __init__(self, name: str, dtype: str) -> None:
        self.generator, self.dtype = np.random.default_rng(list(name.encode())), dtype

    def __call__(self, *shape: int, scale: float = 0.5) -> np.ndarray:
        return np.round(self.generator.normal(size=shape) * scale, 2).astype(self.dtype)


def keras() -> Iterator[dict[str, Any]]:
    """Layers of Keras: ``theirs`` is a list of class name, configuration and weights; x is [B, T, C]."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # on torch and jax a loop of steps is not float64 throughout
    from keras import layers, ops

    def two(layer: Any) -> Any:
        return layers.Bidirectional(layer)

    def make(dtype: str) -> dict[str, list[Any]]:
        options = {"return_sequences": True, "return_state": True, "dtype": dtype}
        return {
            "rnn-relu": [layers.SimpleRNN(H, activation="relu", **options)],
            "rnn-sigmoid-free": [layers.SimpleRNN(H, activation="sigmoid", use_bias=False, **options)],
            "rnn": [layers.SimpleRNN(H, **options)],
            "lstm": [layers.LSTM(H, **options)],
            "lstm-free": [layers.LSTM(H, use_bias=False, **options)],
            "gru-after": [layers.GRU(H, reset_after=True, **options)],
            "gru-before": [layers.GRU(H, reset_after=False, **options)],
            "two-lstm": [two(layers.LSTM(H, **options))],
            "two-gru-after": [two(layers.GRU(H, **options))],
            "two-gru-before": [two(layers.GRU(H, reset_after=False, **options))],
            "stack-lstm": [layers.LSTM(H, **options), layers.LSTM(H, **options)],
            "stack-two-gru": [two(layers.GRU(H, **options)), two(layers.GRU(H, **options))],
            "cell-gru": [layers.RNN(layers.GRUCell(H, dtype=dtype), **options)],
        }

    for dtype, only in (("float32", None), ("float64", ("rnn", "lstm", "gru-after", "gru-before"))):
        for name, stack in make(dtype).items():
            if only and name not in only:
                continue
            draw = Draw(name, dtype)
            current = x = draw(B, T, C, scale=1.0)
            states: list[Any] = []
            first = []
            for layer in stack:
                layer.build(np.shape(current))
                layer.set_weights([draw(*np.shape(weight)) for weight in layer.get_weights()])
                count = (2 if "two" in name else 1) * (2 if "lstm" in name else 1)
                of_layer = [draw(B, H) for _ in range(count)]
                first += of_layer
                tensors = [ops.convert_to_tensor(state, dtype) for state in of_layer]
                current, *after = layer(current, initial_state=tensors if len(tensors) > 1 else tensors[0])
                states += after
            theirs = [
                {
                    "class_name": type(layer).__name__,
                    "config": _plain(layer.get_config()),
                    "weights": layer.get_weights(),
                }
                for layer in stack
            ]
            yield {
                "name": f"{name}-{dtype}", "dtype": dtype, "theirs": theirs, "x": x, "hx": _by_state(first, name),
                "output": ops.convert_to_numpy(current),
                "state": _by_state([ops.convert_to_numpy(state) for state in states], name),
            }  # fmt: skip


def flax() -> Iterator[dict[str, Any]]:
    """Modules of flax: ``theirs`` is a list of nested parameters; x is [B, T, C]."""
    _jax64()
    import jax
    from flax import nnx

    def make(dtype: str) -> dict[str, list[Any]]:
        def rnn(cell: Any, inputs: int = C, **options: Any) -> Any:
            cell = cell(inputs, H, rngs=nnx.Rngs(0), param_dtype=dtype, dtype=dtype, **options)
            return nnx.RNN(cell, return_carry=True)

        def two(cell: Any, inputs: int = C) -> Any:
            return nnx.Bidirectional(rnn(cell, inputs), rnn(cell, inputs), return_carry=True)

        return {
            "rnn": [rnn(nnx.SimpleCell)],
            "rnn-relu": [rnn(nnx.SimpleCell, activation_fn=jax.nn.relu)],
            "gru": [rnn(nnx.GRUCell)],
            "lstm": [rnn(nnx.OptimizedLSTMCell)],
            "two-lstm": [two(nnx.OptimizedLSTMCell)],
            "stack-lstm": [rnn(nnx.LSTMCell), rnn(nnx.OptimizedLSTMCell, H)],
            "stack-two-gru": [two(nnx.GRUCell), two(nnx.GRUCell, 2 * H)],
        }

    for dtype, only in (("float32", None), ("float64", ("gru", "lstm"))):
        for name, stack in make(dtype).items():
            if only and name not in only:
                continue
            draw = Draw(name, dtype)
            current = x = draw(B, T, C, scale=1.0)
            lengths = np.array([T, T - 1], np.int32)
            theirs, states = [], []
            for module in stack:
                state = nnx.state(module, nnx.Param)
                weights = jax.tree.map(lambda final, draw=draw: draw(*final.shape), nnx.to_pure_dict(state))
                nnx.update(module, weights)
                theirs.append(weights)
                carry, current = module(current, seq_lengths=lengths)
                for final in carry if "two" in name else [carry]:
                    states += [final[1], final[0]] if isinstance(final, tuple) else [final]
            yield {
                "name": f"{name}-{dtype}", "dtype": dtype, "theirs": theirs, "x": x, "lengths": lengths,
                "nonlinearity": "relu" if "relu" in name else None, "output": np.asarray(current),
                "state": _by_state([np.asarray(state) for state in states], name), "modules": stack,
            }  # fmt: skip


NODES: dict[str, dict[str, Any]] = {
    "rnn-relu": {"op_type": "RNN", "activations": ["Relu"]},
    "rnn-sigmoid-reverse": {"op_type": "RNN", "activations": ["Sigmoid"], "direction": "reverse"},
    "two-rnn": {"op_type": "RNN", "direction": "bidirectional", "activations": ["Tanh", "Tanh"]},
    "lstm-peephole": {"op_type": "LSTM", "given": "BP"},
    "two-lstm-peephole": {"op_type": "LSTM", "given": "BP", "direction": "bidirectional"},
    "lstm-free": {"op_type": "LSTM", "given": ""},
    "gru-after": {"op_type": "GRU", "linear_before_reset": 1},
    "gru-before": {"op_type": "GRU"},
    "gru-free": {"op_type": "GRU", "given": ""},
    "two-gru-after": {"op_type": "GRU", "linear_before_reset": 1, "direction": "bidirectional"},
    "gru-before-reverse": {"op_type": "GRU", "linear_before_reset": 0, "direction": "reverse"},
}
"""Nodes that onnxruntime runs: attributes, and in ``given`` the letters of the optional weights (default: B)."""


def nodes(dtype: str) -> Iterator[dict[str, Any]]:
    """``NODES`` with weights, inputs of a call and no outputs yet; ``theirs`` is a node as data, x is [T, B, C]."""
    for name, options in NODES.items():
        draw = Draw(name, dtype)
        attributes = {"hidden_size": H} | {
            key: value for key, value in options.items() if key not in ("op_type", "given")
        }
        directions = 2 if attributes.get("direction") == "bidirectional" else 1
        rows = {"RNN": 1, "LSTM": 4, "GRU": 3}[options["op_type"]] * H
        inputs = {"W": draw(directions, rows, C), "R": draw(directions, rows, H)}
        shapes = {"B": 2 * rows, "P": 3 * H}
        inputs |= {weight: draw(directions, shapes[weight]) for weight in options.get("given", "B")}
        x, hx = draw(T, B, C, scale=1.0), [draw(directions, B, H)]
        if options["op_type"] == "LSTM":
            hx.append(draw(directions, B, H))
        theirs = {"op_type": options["op_type"], "attributes": attributes, "inputs": inputs}
        lengths = np.array([T, T - 1], np.int32)
        yield {"name": f"{name}-{dtype}", "dtype": dtype, "theirs": theirs, "x": x, "hx": hx, "lengths": lengths}


def model_of(case: dict[str, Any]) -> Any:
    """A case of ``nodes`` as a model with the inputs X, sequence_lens, initial_h and initial_c."""
    from onnx import TensorProto, helper, numpy_helper

    theirs = case["theirs"]
    lstm = theirs["op_type"] == "LSTM"
    states = ("initial_h", "initial_c") if lstm else ("initial_h",)
    names = ["X", "W", "R", "B", "sequence_lens", *states, *(["P"] if lstm else [])]
    present = {"X", "sequence_lens", *states, *theirs["inputs"]}
    outputs = ["Y", "Y_h", *(["Y_c"] if lstm else [])]
    node = helper.make_node(
        theirs["op_type"], [name if name in present else "" for name in names], outputs, "it", **theirs["attributes"]
    )
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(case["dtype"]))

    def value(name: str, rank: int, kind: int = kind) -> Any:
        return helper.make_tensor_value_info(name, kind, [None] * rank)

    inputs = [value("X", 3), value("sequence_lens", 1, TensorProto.INT32), *(value(name, 3) for name in states)]
    constants = [numpy_helper.from_array(array, name) for name, array in theirs["inputs"].items()]
    graph = helper.make_graph(
        [node], "it", inputs, [value(name, 4 if name == "Y" else 3) for name in outputs], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model


def onnxruntime() -> Iterator[dict[str, Any]]:
    """``NODES`` as onnxruntime runs them: ``output`` is Y [T, D, B, H]; float32, as it has no other."""
    import onnxruntime

    for case in nodes("float32"):
        session = onnxruntime.InferenceSession(model_of(case).SerializeToString(), providers=["CPUExecutionProvider"])
        feeds = {"X": case["x"], "sequence_lens": case["lengths"]}
        feeds |= dict(zip(("initial_h", "initial_c"), case["hx"], strict=False))
        output, *state = session.run(None, feeds)
        yield case | {"output": output, "state": state}


def onnx() -> Iterator[dict[str, Any]]:
    """ONNX's own cases of the nodes: ``theirs`` has all inputs but X as constants; outputs by name."""
    from onnx import helper
    from onnx.backend.test.case.node import collect_testcases

    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [case for case in collect_testcases() if case.model.graph.node[0].op_type in ("RNN", "LSTM", "GRU")]
    operators = {"X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"}
    for case in sorted(cases, key=lambda case: case.name):
        graph = case.model.graph
        (node,) = graph.node
        tensors, expected = case.data_sets[0]
        inputs = dict(zip((value.name for value in graph.input), map(_array, tensors), strict=True))
        assert set(inputs) <= operators, inputs.keys()
        x = inputs.pop("X")
        outputs = dict(zip((value.name for value in graph.output), map(_array, expected), strict=True))
        attributes = {attribute.name: _text(helper.get_attribute_value(attribute)) for attribute in node.attribute}
        theirs = {"op_type": node.op_type, "attributes": attributes, "inputs": inputs}
        yield {"name": case.name, "dtype": "float32", "theirs": theirs, "x": x, "outputs": outputs, "node": node}


def _array(tensor: Any) -> np.ndarray:
    from onnx import numpy_helper

    return tensor if isinstance(tensor, np.ndarray) else numpy_helper.to_array(tensor)


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _by_state(states: list[Any], name: str) -> list[np.ndarray]:
    """h, c, h, c, … of all layers and directions → [h_n] or [h_n, c_n], as ours."""
    count = 2 if "lstm" in name else 1
    return [np.stack(states[number::count]) for number in range(count)]


def _jax64() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


PLAIN = (
    "layer", "backward_layer", "cell", "class_name", "config", "merge_mode", "units", "activation",
    "recurrent_activation", "use_bias", "reset_after", "go_backwards", "stateful", "dropout", "recurrent_dropout",
)  # fmt: skip


def _plain(config: Any) -> Any:
    """The parts of a configuration that say what the layer computes."""
    if isinstance(config, dict):
        fields = {name: _plain(value) for name, value in config.items() if name in PLAIN}
        return {name: value for name, value in fields.items() if value or name in ("use_bias", "reset_after")}
    return config


class Short(json.JSONEncoder):
    """Arrays as lists, each number in its shortest exact form; equal numbers as ``{"full": number, "shape": …}``."""

    def default(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            is_constant = value.size > 8 and (value == value.flat[0]).all()
            return {"full": self.lists(value.flat[0]), "shape": value.shape} if is_constant else self.lists(value)
        return value.item() if isinstance(value, np.generic) else super().default(value)

    def lists(self, value: Any) -> Any:
        if value.ndim:
            return [self.lists(part) for part in value]
        return float(str(value)) if isinstance(value, np.floating) else int(value)


def main(names: list[str]) -> None:
    """Write the files named, or all."""
    RECORDED.mkdir(exist_ok=True)
    for make in (keras, flax, onnxruntime, onnx):
        if not names or make.__name__ in names:
            left_out = ("modules", "node")
            lines = [
                json.dumps(
                    {key: value for key, value in case.items() if key not in left_out}, cls=Short, separators=(",", ":")
                )
                for case in make()
            ]
            (RECORDED / f"{make.__name__}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
