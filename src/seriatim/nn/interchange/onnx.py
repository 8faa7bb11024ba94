"""Conversion from and to ONNX nodes ``RNN``, ``LSTM`` and ``GRU``; ``model.py`` writes complete models.

``onnx`` is imported only to read a model or a ``NodeProto``.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import numpy as np
import torch

from seriatim.errors import MissingExtra, UsageError
from seriatim.nn.interchange.convention import CONVENTIONS, PEEPHOLES, reordered
from seriatim.nn.interchange.stack import Array, Layer, Part, array, build, extent, listed, parts_of, refuse
from seriatim.ops.recurrence import Weights
from seriatim.spec import COUPLED, CellSpec

_COMMON = ("X", "W", "R", "B", "sequence_lens", "initial_h")
INPUTS = {"RNN": _COMMON, "GRU": _COMMON, "LSTM": (*_COMMON, "initial_c", "P")}
"""The inputs of a node, in order."""
WEIGHTS = ("W", "R", "B", "P")
"""The inputs that must be constants."""
STATES = ("initial_h", "initial_c")
ACTIVATIONS = {"RNN": ("tanh",), "GRU": ("sigmoid", "tanh"), "LSTM": ("sigmoid", "tanh", "tanh")}
"""The default activations f, g and h of one direction."""
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
ATTRIBUTES = (
    "hidden_size", "direction", "activations", "activation_alpha", "activation_beta", "layout", "linear_before_reset",
    "input_forget", "output_sequence", "clip",
)  # fmt: skip
"""The attributes that can be read; some of their values are refused."""


@dataclass(frozen=True)
class OnnxNode:
    """A node as data. ``to_onnx`` and ``read_onnx`` return it, and ``from_onnx`` takes it."""

    op_type: str
    """``RNN``, ``LSTM`` or ``GRU``."""
    attributes: Mapping[str, Any]
    inputs: Mapping[str, Array]
    """Arrays by the operator's names: W, R, B, P, and sequence_lens, initial_h and initial_c if they are constants."""
    name: str = ""


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
    layouts = _one("layout", [one.attributes.get("layout", 0) for one in nodes])
    layer = build([_part(one) for one in nodes], batch_first=bool(layouts))
    call = _call(nodes, bool(layouts), layer)
    if with_call:
        return layer, call
    if call:
        theirs_of = {
            "reverse": "direction=reverse",
            "hx": "a constant initial state",
            "lengths": "constant sequence_lens",
        }
        which = " and ".join(theirs_of[name] for name in call)
        raise UsageError(f"theirs: {which} belongs to the call here; with_call=True gives it beside the layer")
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
    return [_theirs(part, direction) for part in parts]


def read_onnx(theirs: Any, initializers: Any = None, *, node: str | Sequence[str] | None = None) -> list[OnnxNode]:
    """Read the recurrent nodes of a model as data.

    ``theirs`` is a model (a file name or a ``ModelProto``), a ``NodeProto`` with its ``initializers`` (arrays by name,
    or ``TensorProto``s), or an ``OnnxNode`` or a list of them, which is returned unchanged. ``node`` selects nodes of a
    model by name, in that order; it is not needed if the model has one recurrent node. Raises ``UsageError`` if the
    model has no recurrent node, or several and no ``node``, and for weights that are not constant; raises
    ``MissingExtra`` without ``onnx``.
    """
    if all(isinstance(one, OnnxNode) for one in listed(theirs)):
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
    for one in graph.node:
        if one.op_type == "Constant":
            constants |= {one.output[0]: _constant(one, onnx)}
    found = {
        one.name or f"{one.op_type}#{number}": one for number, one in enumerate(graph.node) if one.op_type in INPUTS
    }
    names = [node] if isinstance(node, str) else list(found) if node is None else list(node)
    if not found or (node is None and len(found) > 1):
        wanted = f"node= with names of {', '.join(found)}" if found else "an RNN, LSTM or GRU in it"
        raise UsageError(f"theirs: got a model with {len(found) or 'no'} recurrent nodes, wanted {wanted}")
    for name in names:
        if name not in found:
            raise UsageError(f"node: no recurrent node '{name}' (known: {', '.join(found)})")
    return [_read(found[name], constants, onnx) for name in names]


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
    for name, given in zip(INPUTS[node.op_type], node.input, strict=False):
        if given and name != "X" and given in constants:
            inputs[name] = constants[given]
        elif given and name in WEIGHTS:
            raise UsageError(f"{name}: '{given}' is no constant of the model or of initializers, wanted one")
    attributes = {one.name: _plain(onnx.helper.get_attribute_value(one)) for one in node.attribute}
    return OnnxNode(node.op_type, attributes, inputs, node.name)


def _arrays(given: Any, onnx: Any) -> dict[str, Array]:
    """Arrays by name, from arrays by name or from ``TensorProto``s."""
    if isinstance(given, Mapping):
        return {name: np.asarray(one) for name, one in given.items()}
    return {one.name: onnx.numpy_helper.to_array(one) for one in given or ()}


def _constant(node: Any, onnx: Any) -> Array:
    """The value of a ``Constant`` node."""
    value = onnx.helper.get_attribute_value(node.attribute[0])
    return np.asarray(onnx.numpy_helper.to_array(value) if hasattr(value, "data_type") else value)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(one) for one in value] if isinstance(value, Iterable) and not isinstance(value, str) else value


def _part(node: OnnxNode) -> Part:
    """Read the weights of one node."""
    kind, attributes, given = node.op_type.lower(), node.attributes, node.inputs
    if kind not in CONVENTIONS["ONNX"]:
        raise UsageError(f"theirs: got a node {node.op_type}, wanted RNN, LSTM or GRU")
    _refuse(attributes)
    for name in ("W", "R"):
        if name not in given:
            raise UsageError(f"{name}: missing, wanted the weights of {node.name or node.op_type}")
    order = CONVENTIONS["ONNX"][kind]
    directions = DIRECTIONS[attributes.get("direction", "forward")]
    units, inputs = extent("R", given["R"])[-1], extent("W", given["W"])[-1]
    if attributes.get("hidden_size", units) != units:
        raise UsageError(f"hidden_size: got {attributes['hidden_size']}, wanted {units}, as R has")
    rows = len(order.gates) * units
    is_coupled = kind == "lstm" and bool(attributes.get("input_forget", 0))
    ours = _from_coupled if is_coupled else partial(order.ours, kind=kind)
    w = array("W", given["W"], directions, rows, inputs)
    r = array("R", given["R"], directions, rows, units)
    b = array("B", given["B"], directions, 2 * rows) if "B" in given else None
    p = array("P", given["P"], directions, 3 * units) if "P" in given else None
    weights = []
    for number in range(directions):
        b_ih, b_hh = (None, None) if b is None else map(ours, np.split(b[number], 2))
        peepholes = None if p is None else p[number].reshape(3, units)
        if peepholes is not None:
            i, o, _ = peepholes
            peepholes = np.stack([-i, o]) if is_coupled else reordered(peepholes, order.peepholes, PEEPHOLES)
        weights.append(Weights(ours(w[number]), ours(r[number]), b_ih, b_hh, w_ch=peepholes))
    spec = CellSpec(
        COUPLED[kind] if is_coupled else kind, inputs, units, activation=_activation(node, directions),
        bias=b is not None, peephole=p is not None,
        reset_after=kind != "gru" or bool(attributes.get("linear_before_reset", 0)),
        clip=float(attributes.get("clip", 0.0)),
    )  # fmt: skip
    return Part(spec, tuple(weights))


def _refuse(attributes: Mapping[str, Any]) -> None:
    """Raise ``UsageError`` for unknown attributes and for values that Seriatim's layers lack."""
    if not attributes.get("clip", 1.0) > 0:
        raise UsageError(f"clip: got {attributes['clip']:g}, wanted more than 0")
    if attributes.get("direction", "forward") not in DIRECTIONS:
        raise UsageError(f"direction: got {attributes['direction']!r}, wanted {', '.join(DIRECTIONS)}")
    unknown = sorted(set(attributes) - set(ATTRIBUTES))
    if unknown:
        raise UsageError(f"theirs: unknown attribute {unknown[0]}, wanted {', '.join(ATTRIBUTES)}")


def _activation(node: OnnxNode, directions: int) -> str:
    """φ of an RNN, tanh for the others, whose activations have to be the usual ones."""
    usual = ACTIVATIONS[node.op_type]
    given = tuple(one.lower() for one in node.attributes.get("activations", usual * directions))
    if node.op_type == "RNN":
        given = given[:directions]  # the operator's own default has two for any direction
    if len(given) != len(usual) * directions:
        raise UsageError(f"activations: got {len(given)}, wanted {len(usual) * directions}")
    if node.op_type != "RNN" and given != usual * directions:
        raise UsageError(f"activations: got {' '.join(given)}, wanted {' '.join(usual)} for each direction")
    if node.op_type == "RNN" and (len(set(given)) > 1 or given[0] not in ("tanh", "relu", "sigmoid")):
        raise UsageError(
            f"activations: got {' '.join(given)}, wanted tanh, relu or sigmoid, the same for each direction"
        )
    return given[0] if node.op_type == "RNN" else "tanh"


def _call(nodes: Sequence[OnnxNode], batch_first: bool, layer: Layer) -> dict[str, Any]:
    """What the nodes fix of a call, as arguments of it."""
    call: dict[str, Any] = {}
    if _one("direction", [one.attributes.get("direction", "forward") for one in nodes]) == "reverse":
        call["reverse"] = True
    states = [name for name in STATES[: len(layer.spec.states)] if any(name in one.inputs for one in nodes)]
    if states:
        call["hx"] = _first_state(nodes, batch_first, layer)
    given = [one.inputs["sequence_lens"] for one in nodes if "sequence_lens" in one.inputs]
    if given:
        if len(given) != len(nodes) or any(not np.array_equal(one, given[0]) for one in given):
            raise UsageError("sequence_lens: the nodes of a stack differ, wanted the same for all")
        call["lengths"] = torch.from_numpy(given[0].astype(np.int64))
    return call


def _first_state(nodes: Sequence[OnnxNode], batch_first: bool, layer: Layer) -> Any:
    """Return h_0, or (h_0, c_0), with zeros for nodes that have no constant state."""
    directions = 2 if layer.bidirectional else 1
    axis = 0 if batch_first else 1
    rows = next(np.shape(one.inputs[name])[axis] for one in nodes for name in STATES if name in one.inputs)
    shape = (rows, directions) if batch_first else (directions, rows)
    found = []
    for name in STATES[: len(layer.spec.states)]:
        each = []
        for one in nodes:
            given = one.inputs.get(name, np.zeros((*shape, layer.hidden_size), one.inputs["W"].dtype))
            fits = array(name, given, *shape, layer.hidden_size)
            each.append(fits.swapaxes(0, 1) if batch_first else fits)
        found.append(torch.from_numpy(np.concatenate(each)))
    return found[0] if len(found) == 1 else tuple(found)


def _one(name: str, values: Sequence[Any]) -> Any:
    if len(set(values)) > 1:
        raise UsageError(f"{name}: the nodes of a stack have {' and '.join(map(str, values))}, wanted the same for all")
    return values[0]


def _theirs(part: Part, direction: str) -> OnnxNode:
    spec, is_coupled = part.spec, part.kind == COUPLED["lstm"]
    kind = "lstm" if is_coupled else part.kind
    op_type, order = kind.upper(), CONVENTIONS["ONNX"][kind]
    theirs = _to_coupled if is_coupled else partial(order.theirs, kind=kind)
    attributes: dict[str, Any] = {"hidden_size": spec.hidden_size, "direction": direction}
    if spec.clip:
        attributes["clip"] = spec.clip
    if is_coupled:
        attributes["input_forget"] = 1
    if kind == "rnn":
        attributes["activations"] = [spec.activation.capitalize()] * len(part.weights)
    if kind == "gru":
        attributes["linear_before_reset"] = int(spec.reset_after)
    inputs = {
        "W": np.stack([theirs(one.w_ih) for one in part.weights]),
        "R": np.stack([theirs(one.w_hh) for one in part.weights]),
    }
    biases = [
        np.concatenate([theirs(one.b_ih), theirs(one.b_hh)])
        for one in part.weights
        if one.b_ih is not None and one.b_hh is not None
    ]
    peepholes = [
        np.concatenate([-one.w_ch[0], one.w_ch[1], one.w_ch[0]])
        if is_coupled
        else reordered(one.w_ch, PEEPHOLES, order.peepholes).reshape(-1)
        for one in part.weights
        if one.w_ch is not None
    ]
    inputs |= {name: np.stack(each) for name, each in (("B", biases), ("P", peepholes)) if each}
    return OnnxNode(op_type, attributes, inputs)


def _from_coupled(array: Array) -> Array:
    """Rows i o f g of a node with ``input_forget`` → f g o. The node has f = 1 - i, and 1 - σ(a) = σ(-a)."""
    i, o, _, g = np.split(array, 4)
    return np.concatenate([-i, g, o])


def _to_coupled(array: Array) -> Array:
    """Rows f g o → i o f g, so that f = 1 - i also holds where ``input_forget`` is ignored."""
    f, g, o = np.split(array, 3)
    return np.concatenate([-f, o, f, g])
