"""Recurrent bodies: their layers, and the connections past them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seriatim.errors import UsageError
from seriatim.export.onnx.builder import Arrays, GraphBuilder
from seriatim.export.onnx.cell_steps import normalised
from seriatim.export.onnx.layers import add_layer
from seriatim.export.onnx.short_convolution import PAST, add_short_convolution
from seriatim.runtime.recurrent import DIRECTIONS
from seriatim.spec import CellSpec


def check_body(body: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` for a body without recurrent layers."""
    if body["type"] != "recurrent":
        raise UsageError(f"onnx: a {body['type']} has no recurrent layers; export it without --onnx")


def state_widths(body: Mapping[str, Any], layer: Mapping[str, Any]) -> dict[str, int]:
    """The width of each state of a layer, by name; the last inputs of a convolution are a state."""
    spec = CellSpec(**layer["cell"])
    widths = {state: spec.state_size(state) for state in spec.states}
    if "convolution" in body:
        widths[PAST] = (body["convolution"] - 1) * spec.input_size
    return widths


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
    """Add the layers of a body on x [T, B, I]; return its output [T, B, O] and the last h [D, B, ·] of the last layer.

    ``with_states`` makes the states inputs and outputs of the graph.
    """
    connection, last = body["connection"], ""
    if f"{prefix}.input.weight" in arrays:
        x = graph.affine(x, arrays, f"{prefix}.input")
    for number, layer in enumerate(body["layers"]):
        name = f"{prefix}.{number}"
        read = _layer_norm(graph, x, arrays, f"{name}.norm1") if connection == "block" else x
        output, last = _add_layer(graph, body, layer, arrays, read, name, lengths, with_states)
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
    body: Mapping[str, Any],
    layer: Mapping[str, Any],
    arrays: Arrays,
    x: str,
    name: str,
    lengths: str,
    with_states: bool,
) -> tuple[str, str]:
    """Add one layer and the convolution before it, if there is one; return its output and its last h [D, B, ·]."""
    widths = state_widths(body, layer)
    labels = graph.state_names(list(widths)) if with_states else []
    before = [graph.state(label, width) for label, width in zip(labels, widths.values(), strict=False)]
    past: list[str] = []
    if PAST in widths:
        first = before.pop() if before else graph.add("Unsqueeze", graph.zeros(x, widths[PAST]), graph.integers(0))
        x, last_inputs = add_short_convolution(graph, x, arrays, f"{name}.convolution", first, lengths)
        past = [last_inputs]
    directions = DIRECTIONS[: 2 if body["bidirectional"] else 1]
    output, final = add_layer(graph, layer, directions, arrays, x, name, lengths=lengths, before=before)
    for label, state, width in zip(labels, [*final, *past], widths.values(), strict=False):
        graph.next_state(label, state, width)
    return output, final[0]


def _layer_norm(graph: GraphBuilder, x: str, arrays: Arrays, name: str) -> str:
    scale, shift = (graph.constant(arrays[f"{name}.{part}"], name=f"{name}.{part}") for part in ("weight", "bias"))
    return normalised(graph, x, scale, shift)


def _gelu(graph: GraphBuilder, x: str) -> str:
    """x Φ(x) = x (1 + erf(x / √2)) / 2."""
    inner = graph.add("Erf", graph.add("Mul", x, graph.constant(0.5**0.5, "float32", "root_half")))
    half = graph.add("Mul", x, graph.constant(0.5, "float32", "half"))
    return graph.add("Mul", half, graph.add("Add", inner, graph.constant(1.0, "float32", "one")))
