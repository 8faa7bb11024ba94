"""Recurrent bodies as nodes ``RNN``, ``LSTM`` and ``GRU``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from seriatim.errors import UsageError
from seriatim.export.onnx.builder import Arrays, GraphBuilder
from seriatim.kernels.weights import Weights
from seriatim.layouts.onnx_nodes import INPUTS, node_of
from seriatim.layouts.stack_layer import StackLayer
from seriatim.spec import CellSpec

KINDS: Final = ("rnn", "lstm", "cifg", "gru")
"""The cells that are nodes of ONNX. ``cifg`` is an LSTM with ``input_forget``."""


def check_body(body: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` for a body that ONNX's recurrent nodes cannot express; the error says why."""
    if body["type"] != "recurrent":
        raise UsageError(f"onnx: a {body['type']} has no recurrent layers; --onnx writes nodes RNN, LSTM and GRU")
    if "convolution" in body:
        raise UsageError("onnx: a convolution before the cells has no graph here; train without --convolution")
    for layer in body["layers"]:
        spec = CellSpec(**layer["cell"])
        if spec.kind not in KINDS:
            raise UsageError(f"onnx: ONNX has no node for the cell {spec.kind}; it has RNN, LSTM and GRU")
        for name, present, hint in (
            ("layer normalisation inside the cell", spec.layer_norm, "train with --no-layer-norm"),
            ("a projection of h", bool(spec.proj_size), "train without --projection"),
            ("zoneout", bool(layer["zoneout"]), "train without --zoneout"),
        ):
            if present:
                raise UsageError(f"onnx: ONNX's nodes RNN, LSTM and GRU have no place for {name}; {hint}")


def add_body(
    graph: GraphBuilder,
    body: Mapping[str, Any],
    arrays: Arrays,
    x: str,
    *,
    prefix: str = "body",
    lengths: str = "",
    with_states: bool,
) -> tuple[str, str]:
    """Add the layers of a body on x [T, B, I]; return its output [T, B, O] and Y_h [D, B, H] of the last layer.

    ``with_states`` makes the states inputs and outputs of the graph.
    """
    connection, last = body["connection"], ""
    if f"{prefix}.input.weight" in arrays:
        x = graph.affine(x, arrays, f"{prefix}.input")
    for number, layer in enumerate(body["layers"]):
        name = f"{prefix}.{number}"
        read = _layer_norm(graph, x, arrays, f"{name}.norm1") if connection == "block" else x
        output, last = _add_layer(graph, layer, body["bidirectional"], arrays, read, name, lengths, with_states)
        x = add_connection(graph, connection, number, arrays, x, output, name)
    if connection == "block":
        x = _layer_norm(graph, x, arrays, f"{prefix}.norm")
    return x, last


def add_connection(
    graph: GraphBuilder, connection: str, number: int, arrays: Arrays, x: str, output: str, name: str
) -> str:
    """Combine the input and the output of layer ``number``, as ``runtime/connections.py`` does."""
    if connection == "block":
        x = graph.add("Add", x, output)
        inner = graph.affine(_layer_norm(graph, x, arrays, f"{name}.norm2"), arrays, f"{name}.linear1")
        return graph.add("Add", x, graph.affine(_gelu(graph, inner), arrays, f"{name}.linear2"))
    if number == 0 or connection == "none":
        return output
    if connection == "residual":
        return graph.add("Add", x, output)
    gate = graph.add("Sigmoid", graph.affine(x, arrays, f"{name}.transform"))
    return graph.add("Add", x, graph.add("Mul", gate, graph.add("Sub", output, x)))


def _add_layer(
    graph: GraphBuilder,
    layer: Mapping[str, Any],
    bidirectional: bool,
    arrays: Arrays,
    x: str,
    name: str,
    lengths: str,
    with_states: bool,
) -> tuple[str, str]:
    spec = CellSpec(**layer["cell"])
    directions = ("forward", "backward")[: 2 if bidirectional else 1]
    weights = tuple(_weights(arrays, f"{name}.{direction}") for direction in directions)
    node = node_of(StackLayer(spec, weights), "bidirectional" if bidirectional else "forward")
    values = {"X": x, "sequence_lens": lengths}
    values |= {part: graph.constant(array, name=f"{name}.{part}") for part, array in node.inputs.items()}
    names = graph.state_names(spec.states) if with_states else []
    if with_states:
        pairs = zip(spec.states, names, strict=True)
        values |= {f"initial_{state}": graph.state(label, spec.hidden_size) for state, label in pairs}
    inputs = [values.get(part, "") for part in INPUTS[node.op_type]]
    while not inputs[-1]:
        inputs.pop()
    y, *states = graph.add_node(node.op_type, inputs, 1 + len(spec.states), name, layout=0, **node.attributes)
    for label, state in zip(names, states, strict=False):
        graph.next_state(label, state, spec.hidden_size)
    if not bidirectional:
        return graph.add("Squeeze", y, graph.integers(1)), states[0]
    swapped = graph.add("Transpose", y, perm=[0, 2, 1, 3])
    return graph.add("Reshape", swapped, graph.integers(0, 0, -1)), states[0]


def _weights(arrays: Arrays, prefix: str) -> Weights[Any]:
    return Weights(**{field.name: arrays.get(f"{prefix}.{field.name}") for field in dataclasses.fields(Weights)})


def _layer_norm(graph: GraphBuilder, x: str, arrays: Arrays, name: str) -> str:
    scale, shift = (graph.constant(arrays[f"{name}.{part}"], name=f"{name}.{part}") for part in ("weight", "bias"))
    return graph.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=1e-5)


def _gelu(graph: GraphBuilder, x: str) -> str:
    """x Φ(x) = x (1 + erf(x / √2)) / 2."""
    inner = graph.add("Erf", graph.add("Mul", x, graph.constant(0.5**0.5, "float32", "root_half")))
    half = graph.add("Mul", x, graph.constant(0.5, "float32", "half"))
    return graph.add("Mul", half, graph.add("Add", inner, graph.constant(1.0, "float32", "one")))
