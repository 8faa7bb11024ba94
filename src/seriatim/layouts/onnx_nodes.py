"""ONNX's nodes ``RNN``, ``LSTM`` and ``GRU`` as data, and their weights in Seriatim's order and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from seriatim.errors import UsageError
from seriatim.kernels.weights import Weights
from seriatim.layouts.convention import CONVENTIONS, PEEPHOLES, reordered
from seriatim.layouts.stack_layer import Array, StackLayer, array, extent
from seriatim.spec import COUPLED, CellSpec

_COMMON = ("X", "W", "R", "B", "sequence_lens", "initial_h")
INPUTS = {"RNN": _COMMON, "GRU": _COMMON, "LSTM": (*_COMMON, "initial_c", "P")}
"""The inputs of a node, in order."""
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


def layer_of(node: OnnxNode) -> StackLayer:
    """Convert a node to a layer. Raises ``UsageError`` for weights that do not fit and options that cells lack."""
    kind, attributes, arrays = node.op_type.lower(), node.attributes, node.inputs
    if kind not in CONVENTIONS["ONNX"]:
        raise UsageError(f"theirs: got a node {node.op_type}, wanted RNN, LSTM or GRU")
    _refuse(attributes)
    for name in ("W", "R"):
        if name not in arrays:
            raise UsageError(f"{name}: missing, wanted the weights of {node.name or node.op_type}")
    order = CONVENTIONS["ONNX"][kind]
    directions = DIRECTIONS[attributes.get("direction", "forward")]
    units, inputs = extent("R", arrays["R"])[-1], extent("W", arrays["W"])[-1]
    if attributes.get("hidden_size", units) != units:
        raise UsageError(f"hidden_size: got {attributes['hidden_size']}, wanted {units}, as R has")
    rows = len(order.gates) * units
    is_coupled = kind == "lstm" and bool(attributes.get("input_forget", 0))
    ours = _from_coupled if is_coupled else partial(order.ours, kind=kind)
    w = array("W", arrays["W"], directions, rows, inputs)
    r = array("R", arrays["R"], directions, rows, units)
    b = array("B", arrays["B"], directions, 2 * rows) if "B" in arrays else None
    p = array("P", arrays["P"], directions, 3 * units) if "P" in arrays else None
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
    return StackLayer(spec, tuple(weights))


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
    activations = tuple(name.lower() for name in node.attributes.get("activations", usual * directions))
    if node.op_type == "RNN":
        activations = activations[:directions]  # the operator's own default has two for any direction
    if len(activations) != len(usual) * directions:
        raise UsageError(f"activations: got {len(activations)}, wanted {len(usual) * directions}")
    if node.op_type != "RNN" and activations != usual * directions:
        raise UsageError(f"activations: got {' '.join(activations)}, wanted {' '.join(usual)} for each direction")
    if node.op_type == "RNN" and (len(set(activations)) > 1 or activations[0] not in ("tanh", "relu", "sigmoid")):
        raise UsageError(
            f"activations: got {' '.join(activations)}, wanted tanh, relu or sigmoid, the same for each direction"
        )
    return activations[0] if node.op_type == "RNN" else "tanh"


def node_of(part: StackLayer, direction: str) -> OnnxNode:
    """Convert a layer to a node that reads in ``direction``: forward, reverse or bidirectional."""
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
        "W": np.stack([theirs(weights.w_ih) for weights in part.weights]),
        "R": np.stack([theirs(weights.w_hh) for weights in part.weights]),
    }
    biases = [
        np.concatenate([theirs(weights.b_ih), theirs(weights.b_hh)])
        for weights in part.weights
        if weights.b_ih is not None and weights.b_hh is not None
    ]
    peepholes = [
        np.concatenate([-weights.w_ch[0], weights.w_ch[1], weights.w_ch[0]])
        if is_coupled
        else reordered(weights.w_ch, PEEPHOLES, order.peepholes).reshape(-1)
        for weights in part.weights
        if weights.w_ch is not None
    ]
    inputs |= {name: np.stack(arrays) for name, arrays in (("B", biases), ("P", peepholes)) if arrays}
    return OnnxNode(op_type, attributes, inputs)


def _from_coupled(array: Array) -> Array:
    """Rows i o f g of a node with ``input_forget`` → f g o. The node has f = 1 - i, and 1 - σ(a) = σ(-a)."""
    i, o, _, g = np.split(array, 4)
    return np.concatenate([-i, g, o])


def _to_coupled(array: Array) -> Array:
    """Rows f g o → i o f g, so that f = 1 - i also holds where ``input_forget`` is ignored."""
    f, g, o = np.split(array, 3)
    return np.concatenate([-f, o, f, g])
