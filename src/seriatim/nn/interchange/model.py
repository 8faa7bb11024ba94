"""Conversion of a layer to a complete ONNX model, which onnxruntime runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from seriatim.layouts.onnx_nodes import INPUTS, OnnxNode
from seriatim.nn.interchange.onnx import library, to_onnx
from seriatim.nn.interchange.stack import Layer

OPSET, IR = 17, 8
"""Versions that the onnxruntime of 2022 reads and that have all nodes used here."""


def onnx_model(layer: Layer, *, lengths: bool = False, state: bool = False, reverse: bool = False) -> Any:
    """Convert a layer to an ``onnx.ModelProto`` that computes what the layer computes after training.

    Inputs: ``x`` as the layer takes it; with ``lengths`` int32 ``lengths`` [B]; with ``state`` ``h_0`` and, for an
    LSTM, ``c_0``, [L·D, B, H]. Outputs: ``output``, ``h_n`` and ``c_n`` as the layer returns them. With ``reverse`` the
    model computes ``layer(x, reverse=True)``. Raises ``UsageError`` as ``to_onnx`` does, ``MissingExtra`` without
    ``onnx``.
    """
    onnx = library("writing ONNX")
    nodes = to_onnx(layer, reverse=reverse)
    graph = _Graph(onnx, nodes, layer.spec.states, lengths, state)
    current = graph.add("Transpose", ["x"], perm=[1, 0, 2]) if layer.batch_first else "x"
    for number, node in enumerate(nodes):
        current = graph.recurrent(number, node, current)
    if layer.batch_first:
        graph.add("Transpose", [current], "output", perm=[1, 0, 2])
    else:
        graph.add("Identity", [current], "output")
    graph.join()
    axes = ["B", "T"] if layer.batch_first else ["T", "B"]
    return graph.model([*axes, layer.input_size], [*axes, (2 if layer.bidirectional else 1) * layer.hidden_size])


class _Graph:
    """A graph that grows layer by layer."""

    def __init__(self, onnx: Any, stack: list[OnnxNode], states: tuple[str, ...], lengths: bool, state: bool) -> None:
        self.onnx, self.states, self.lengths, self.first = onnx, states, lengths, state
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {"joined": np.array([0, 0, -1], np.int64)}
        weight = stack[0].inputs["W"]
        self.type = onnx.helper.np_dtype_to_tensor_dtype(weight.dtype)
        self.layers, self.directions, self.units = len(stack), len(weight), stack[0].attributes["hidden_size"]
        if state and self.layers > 1:
            self.constants["directions"] = np.full(self.layers, self.directions, np.int64)
            for name in states:
                pieces = [f"{name}_0_l{number}" for number in range(self.layers)]
                self.nodes.append(onnx.helper.make_node("Split", [f"{name}_0", "directions"], pieces, axis=0))

    def add(self, op_type: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        output = output or f"value_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op_type, inputs, [output], **attributes))
        return output

    def recurrent(self, number: int, node: OnnxNode, x: str) -> str:
        """Add one layer of the stack, and return the name of its output [T, B, D·H]."""
        runtime = {"X": x} | ({"sequence_lens": "lengths"} if self.lengths else {})
        if self.first:
            suffix = f"_l{number}" if self.layers > 1 else ""
            runtime |= {f"initial_{name}": f"{name}_0{suffix}" for name in self.states}
        weights = {name: f"{name}_l{number}" for name in node.inputs}
        self.constants |= {weights[name]: array for name, array in node.inputs.items()}
        inputs = [(runtime | weights).get(name, "") for name in INPUTS[node.op_type]]
        while not inputs[-1]:
            inputs.pop()
        y = f"Y_l{number}"
        outputs = [y, *(f"{name}_n_l{number}" for name in self.states)]
        self.nodes.append(self.onnx.helper.make_node(node.op_type, inputs, outputs, f"l{number}", **node.attributes))
        return self.add("Reshape", [self.add("Transpose", [y], perm=[0, 2, 1, 3]), "joined"])

    def join(self) -> None:
        """Concatenate the final states of all layers."""
        for name in self.states:
            self.add("Concat", [f"{name}_n_l{number}" for number in range(self.layers)], f"{name}_n", axis=0)

    def model(self, x: list[Any], output: list[Any]) -> Any:
        helper, numpy_helper = self.onnx.helper, self.onnx.numpy_helper
        state = [self.layers * self.directions, "B", self.units]

        def tensor(name: str, shape: list[Any]) -> Any:
            return helper.make_tensor_value_info(name, self.type, shape)

        inputs = [tensor("x", x)]
        if self.lengths:
            inputs.append(helper.make_tensor_value_info("lengths", self.onnx.TensorProto.INT32, ["B"]))
        if self.first:
            inputs += [tensor(f"{name}_0", state) for name in self.states]
        outputs = [tensor("output", output), *(tensor(f"{name}_n", state) for name in self.states)]
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        graph = helper.make_graph(self.nodes, "seriatim", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="seriatim")
        model.ir_version = IR
        self.onnx.checker.check_model(model)
        return model
