"""A recurrent layer as a node ``RNN``, ``LSTM`` or ``GRU`` where it expresses the cell, and as nodes ``Scan``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from seriatim.export.onnx.builder import Arrays, GraphBuilder
from seriatim.export.onnx.cell_steps import Cell
from seriatim.export.onnx.scan import add_scan
from seriatim.kernels.weights import Weights
from seriatim.layouts.onnx_nodes import INPUTS, node_of
from seriatim.layouts.stack_layer import StackLayer
from seriatim.spec import CellSpec

NODES: Final = ("rnn", "lstm", "cifg", "gru")
"""The cells that have a node of their own in ONNX. ``cifg`` is an LSTM with ``input_forget``."""


def add_layer(
    graph: GraphBuilder,
    layer: Mapping[str, Any],
    directions: Sequence[str],
    arrays: Arrays,
    x: str,
    name: str,
    *,
    lengths: str,
    before: list[str],
) -> tuple[str, list[str]]:
    """Add a layer on x [T, B, I], from the states ``before`` [D, B, ·]; without them the states are zero.

    Returns its output [T, B, O], 0 beyond the length of a row, and the last states [D, B, ·].
    """
    spec, zoneout = CellSpec(**layer["cell"]), layer["zoneout"]
    cells = [Cell(spec, _weights(arrays, f"{name}.{direction}"), f"{name}.{direction}") for direction in directions]
    if spec.kind in NODES and not (spec.layer_norm or spec.proj_size or any(zoneout)):
        return _add_node(graph, cells, x, name, lengths, before)
    return _add_scans(graph, cells, zoneout, x, lengths, before)


def _add_node(
    graph: GraphBuilder, cells: list[Cell], x: str, name: str, lengths: str, before: list[str]
) -> tuple[str, list[str]]:
    """Add a layer as one node; return its output [T, B, O] and its last states [D, B, ·]."""
    spec = cells[0].spec
    layer = StackLayer(spec, tuple(cell.weights for cell in cells))
    node = node_of(layer, "forward" if len(cells) == 1 else "bidirectional")
    values = {"X": x, "sequence_lens": lengths}
    values |= {part: graph.constant(array, name=f"{name}.{part}") for part, array in node.inputs.items()}
    values |= {f"initial_{state}": value for state, value in zip(spec.states, before, strict=False)}
    inputs = [values.get(part, "") for part in INPUTS[node.op_type]]
    while not inputs[-1]:
        inputs.pop()
    y, *final = graph.add_node(node.op_type, inputs, 1 + len(spec.states), name, layout=0, **node.attributes)
    if len(cells) == 1:
        return graph.add("Squeeze", y, graph.integers(1)), final
    swapped = graph.add("Transpose", y, perm=[0, 2, 1, 3])
    return graph.add("Reshape", swapped, graph.integers(0, 0, -1)), final


def _add_scans(
    graph: GraphBuilder, cells: list[Cell], zoneout: Sequence[float], x: str, lengths: str, before: list[str]
) -> tuple[str, list[str]]:
    """Add a layer as one node Scan for each direction; return its output [T, B, O] and its last states [D, B, ·]."""
    spec = cells[0].spec
    first = [graph.add("Squeeze", value, graph.integers(0)) for value in before]
    first = first or [graph.zeros(x, spec.state_size(state)) for state in spec.states]
    outputs, finals = [], []
    for number, cell in enumerate(cells):
        output, final = add_scan(graph, cell, zoneout, x, first, lengths=lengths, reverse=number == 1)
        outputs.append(output)
        finals.append([graph.add("Unsqueeze", state, graph.integers(0)) for state in final])
    if len(cells) == 1:
        return outputs[0], finals[0]
    joined = [graph.add("Concat", *states, axis=0) for states in zip(*finals, strict=True)]
    return graph.add("Concat", *outputs, axis=-1), joined


def _weights(arrays: Arrays, prefix: str) -> Weights[Any]:
    return Weights(**{field.name: arrays.get(f"{prefix}.{field.name}") for field in dataclasses.fields(Weights)})
