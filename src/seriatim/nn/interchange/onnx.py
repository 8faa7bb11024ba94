"""Conversion from and to ONNX nodes ``RNN``, ``LSTM`` and ``GRU``; ``model.py`` writes complete models.

``onnx`` is imported only to read a model or a ``NodeProto``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
import torch

from seriatim.errors import MissingExtra, UsageError
from seriatim.layouts.onnx_nodes import INPUTS, OnnxNode, layer_of, node_of
from seriatim.layouts.stack_layer import Array, array
from seriatim.nn.interchange.stack import Layer, build, listed, parts_of, refuse

WEIGHTS = ("W", "R", "B", "P")
"""The inputs that must be constants."""
STATES = ("initial_h", "initial_c")


@overload
def from_onnx(
    theirs: Any, initializers: Any = None, *, node: str | Sequence[str] | None = None, with_call: Literal[False] = False
) -> Layer: ...
@overload
def from_onnx(
    theirs: Any, initializers: Any = None, *, node: str | Sequence[str] | None = None, with_call: Literal[True]
) -> tuple[Layer, dict[str, Any]]: ...
def from_onnx(
    theirs: Any, initializers: Any = None, *, node: str | Sequence[str] | None = None, with_call: bool = False
) -> Layer | tuple[Layer, dict[str, Any]]:
    """Convert a node of ONNX, or several nodes that form a stack, to one layer with copies of the weights.

    ``theirs``, ``initializers`` and ``node`` are as in ``read_onnx``. The layer reads [T, B, I], or [B, T, I] for
    ``layout`` 1. Its output is [T, B, D·H] where Y is [T, D, B, H]; h_n and c_n are Y_h and Y_c. The node's run-time
    inputs ``initial_h``, ``initial_c`` and ``sequence_lens`` are the call's ``hx`` and ``lengths``.

    If these inputs are constants of the node, or if the node reads from the end, ``with_call`` returns them as keyword
    arguments of a call:  ``layer, call = from_onnx(node, with_call=True);  output, h_n = layer(x, **call)``.

    Raises ``UsageError`` for other nodes, weights that are not constant, activations that the cell lacks, nodes
    that do not form one stack, and without ``with_call`` for arguments that it would return.
    """
    nodes = read_onnx(theirs, initializers, node=node)
    layouts = _common_value("layout", [onnx_node.attributes.get("layout", 0) for onnx_node in nodes])
    layer = build([layer_of(onnx_node) for onnx_node in nodes], batch_first=bool(layouts))
    call = _call(nodes, bool(layouts), layer)
    if with_call:
        return layer, call
    if call:
        theirs_of = {
            "reverse": "direction=reverse",
            "hx": "a constant initial state",
            "lengths": "constant sequence_lens",
        }
        arguments = " and ".join(theirs_of[name] for name in call)
        raise UsageError(f"theirs: {arguments} belongs to the call here; with_call=True returns it with the layer")
    return layer


def to_onnx(layer: Layer, *, reverse: bool = False) -> list[OnnxNode]:
    """Convert a layer to a node for each layer of its stack; with ``reverse`` the nodes read from the end.

    The nodes have ``layout`` 0, [T, B, I], the only one that onnxruntime runs. Raises ``UsageError`` for options that
    ONNX lacks (projection, layer normalisation, zoneout) and for ``reverse`` of a bidirectional layer. All dropout is
    left out, because ONNX's nodes are not trained.
    """
    parts = parts_of(layer)
    refuse(layer, "ONNX", ("peephole", "coupled", "reset_after", "clip"), inference=True)
    if reverse and layer.bidirectional:
        raise UsageError("reverse: the layer reads in both directions, wanted one")
    direction = "bidirectional" if layer.bidirectional else "reverse" if reverse else "forward"
    return [node_of(part, direction) for part in parts]


def read_onnx(theirs: Any, initializers: Any = None, *, node: str | Sequence[str] | None = None) -> list[OnnxNode]:
    """Read the recurrent nodes of a model as data.

    ``theirs`` is a model (a file name or a ``ModelProto``), a ``NodeProto`` with its ``initializers`` (arrays by name,
    or ``TensorProto``s), or an ``OnnxNode`` or a list of them, which is returned unchanged. ``node`` selects nodes of a
    model by name, in that order; it is not needed if the model has one recurrent node. Raises ``UsageError`` if the
    model has no recurrent node, or several and no ``node``, and for weights that are not constant; raises
    ``MissingExtra`` without ``onnx``.
    """
    if all(isinstance(item, OnnxNode) for item in listed(theirs)):
        return listed(theirs)
    onnx = library("reading ONNX")
    if isinstance(theirs, (str, os.PathLike)):
        theirs = onnx.load(os.fspath(theirs))
    if hasattr(theirs, "op_type"):
        return [_read(theirs, _arrays(initializers, onnx), onnx)]
    graph = getattr(theirs, "graph", theirs)
    if not hasattr(graph, "initializer"):
        raise UsageError(f"theirs: got {type(theirs).__name__}, wanted a model of ONNX, its file, or a node")
    constants = _arrays(graph.initializer, onnx) | _arrays(initializers, onnx)
    for graph_node in graph.node:
        if graph_node.op_type == "Constant":
            constants |= {graph_node.output[0]: _constant(graph_node, onnx)}
    recurrent_nodes = {
        graph_node.name or f"{graph_node.op_type}#{number}": graph_node
        for number, graph_node in enumerate(graph.node)
        if graph_node.op_type in INPUTS
    }
    names = [node] if isinstance(node, str) else list(recurrent_nodes) if node is None else list(node)
    if not recurrent_nodes or (node is None and len(recurrent_nodes) > 1):
        expected = (
            f"node= with names of {', '.join(recurrent_nodes)}" if recurrent_nodes else "an RNN, LSTM or GRU in it"
        )
        raise UsageError(f"theirs: got a model with {len(recurrent_nodes) or 'no'} recurrent nodes, wanted {expected}")
    for name in names:
        if name not in recurrent_nodes:
            raise UsageError(f"node: no recurrent node '{name}' (known: {', '.join(recurrent_nodes)})")
    return [_read(recurrent_nodes[name], constants, onnx) for name in names]


def library(work: str) -> Any:
    """Import ``onnx``. Raises ``MissingExtra`` if it is not installed."""
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        raise MissingExtra(work, "onnx") from error


def _read(node: Any, constants: Mapping[str, Array], onnx: Any) -> OnnxNode:
    """Convert a ``NodeProto`` to data."""
    if node.op_type not in INPUTS:
        raise UsageError(f"theirs: got a node {node.op_type}, wanted RNN, LSTM or GRU")
    inputs = {}
    for name, source in zip(INPUTS[node.op_type], node.input, strict=False):
        if source and name != "X" and source in constants:
            inputs[name] = constants[source]
        elif source and name in WEIGHTS:
            raise UsageError(f"{name}: '{source}' is no constant of the model or of initializers, wanted one")
    attributes = {attribute.name: _plain(onnx.helper.get_attribute_value(attribute)) for attribute in node.attribute}
    return OnnxNode(node.op_type, attributes, inputs, node.name)


def _arrays(arrays: Any, onnx: Any) -> dict[str, Array]:
    """Arrays by name, from arrays by name or from ``TensorProto``s."""
    if isinstance(arrays, Mapping):
        return {name: np.asarray(array) for name, array in arrays.items()}
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in arrays or ()}


def _constant(node: Any, onnx: Any) -> Array:
    """The value of a ``Constant`` node."""
    value = onnx.helper.get_attribute_value(node.attribute[0])
    return np.asarray(onnx.numpy_helper.to_array(value) if hasattr(value, "data_type") else value)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(item) for item in value] if isinstance(value, Iterable) and not isinstance(value, str) else value


def _call(nodes: Sequence[OnnxNode], batch_first: bool, layer: Layer) -> dict[str, Any]:
    """The arguments of a call that the nodes fix."""
    call: dict[str, Any] = {}
    if _common_value("direction", [node.attributes.get("direction", "forward") for node in nodes]) == "reverse":
        call["reverse"] = True
    states = [name for name in STATES[: len(layer.spec.states)] if any(name in node.inputs for node in nodes)]
    if states:
        call["hx"] = _first_state(nodes, batch_first, layer)
    lengths = [node.inputs["sequence_lens"] for node in nodes if "sequence_lens" in node.inputs]
    if lengths:
        if len(lengths) != len(nodes) or any(not np.array_equal(array, lengths[0]) for array in lengths):
            raise UsageError("sequence_lens: the nodes of a stack differ, wanted the same for all")
        call["lengths"] = torch.from_numpy(lengths[0].astype(np.int64))
    return call


def _first_state(nodes: Sequence[OnnxNode], batch_first: bool, layer: Layer) -> Any:
    """Return h_0, or (h_0, c_0), with zeros for nodes that have no constant state."""
    directions = 2 if layer.bidirectional else 1
    axis = 0 if batch_first else 1
    rows = next(np.shape(node.inputs[name])[axis] for node in nodes for name in STATES if name in node.inputs)
    shape = (rows, directions) if batch_first else (directions, rows)
    states = []
    for name in STATES[: len(layer.spec.states)]:
        node_states = []
        for node in nodes:
            state = node.inputs.get(name, np.zeros((*shape, layer.hidden_size), node.inputs["W"].dtype))
            checked = array(name, state, *shape, layer.hidden_size)
            node_states.append(checked.swapaxes(0, 1) if batch_first else checked)
        states.append(torch.from_numpy(np.concatenate(node_states)))
    return states[0] if len(states) == 1 else tuple(states)


def _common_value(name: str, values: Sequence[Any]) -> Any:
    if len(set(values)) > 1:
        raise UsageError(f"{name}: the nodes of a stack have {' and '.join(map(str, values))}, wanted the same for all")
    return values[0]
