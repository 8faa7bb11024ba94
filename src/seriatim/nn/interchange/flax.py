"""Conversion from and to flax nnx: its LSTM, GRU and simple cells, alone, in ``RNN`` or in ``Bidirectional``.

Parameters are nested mappings from name to array, as ``nnx.to_pure_dict(nnx.state(module, nnx.Param))`` returns them.
Modules have the same names as attributes. flax is not imported.

    {"forward_rnn": {"cell": {"dense_i": {"kernel": …}, "dense_h": {"kernel": …, "bias": …}}}, "backward_rnn": …}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seriatim.errors import UsageError
from seriatim.layouts.convention import CONVENTIONS
from seriatim.layouts.stack_layer import Array, StackLayer, array
from seriatim.nn.interchange.stack import Layer, build, joined_bias, listed, parts_of, refuse
from seriatim.notation import GATES
from seriatim.ops.recurrence import Weights
from seriatim.spec import CellSpec

LAYOUT = CONVENTIONS["flax nnx"]
KINDS = {len(order.gates): kind for kind, order in LAYOUT.items()}
BIASED = {"rnn": "dense_i", "lstm": "dense_h", "gru": "dense_i"}
"""The product that has the bias."""


def from_flax(theirs: Any, *, nonlinearity: str | None = None) -> Layer:
    """Convert parameters or a module of flax, or a list of them that form a stack, to one layer.

    The cell is recognised by its names and shapes. The layer reads [B, T, I], as ``nnx.RNN`` does; a module with
    ``time_major`` gives a layer that reads [T, B, I]. ``nonlinearity`` is the activation of a ``SimpleCell``, which is
    not part of its parameters; the default is the module's own, or tanh. flax's one bias becomes ``bias_ih`` or
    ``bias_hh``, whichever is added in the same place, and the other is 0. flax's state is (c, h) where ours is (h, c).

    Raises ``UsageError`` for anything else: parameters of other cells, ``residual``, other gate or activation
    functions, ``RNN(reverse=True)``, another ``merge_fn``, and layers that do not form one stack.
    """
    layers = listed(theirs)
    batch_first = not getattr(layers[0], "time_major", False)
    return build([_part(layer, nonlinearity) for layer in layers], batch_first=batch_first)


def to_flax(layer: Layer, *, optimized: bool = True, inference: bool = False) -> list[dict[str, Any]]:
    """Convert a layer to the parameters of each layer of its stack, as in ``nnx.RNN`` or ``nnx.Bidirectional``.

        nnx.update(rnn, to_flax(layer)[0])

    An LSTM becomes an ``OptimizedLSTMCell``, or an ``LSTMCell`` if not ``optimized``. The two biases are added; without
    biases flax's is 0. Raises ``UsageError`` for options that flax lacks: projection, peephole, layer normalisation,
    zoneout, ``reset_after=False``, a GRU whose block n of ``bias_hh`` is not 0, and dropout unless ``inference``.
    """
    parts = parts_of(layer)
    refuse(layer, "flax nnx", (), inference)
    stack = []
    for part in parts:
        cells = [{"cell": _theirs(weights, part.spec, optimized)} for weights in part.weights]
        stack.append(cells[0] if len(cells) == 1 else {"forward_rnn": cells[0], "backward_rnn": cells[1]})
    return stack


def _part(theirs: Any, nonlinearity: str | None) -> StackLayer:
    """Read one layer: a cell, an RNN or a Bidirectional."""
    forward, backward = _child(theirs, "forward_rnn"), _child(theirs, "backward_rnn")
    if forward is None or backward is None:
        if getattr(theirs, "reverse", None) is True:  # in a Bidirectional, an RNN's own ``reverse`` has no effect
            raise UsageError("theirs: RNN has reverse=True; wanted False, and reverse=True when the layer is called")
        return _one_way(theirs, nonlinearity)
    merge = getattr(theirs, "merge_fn", None)
    if merge is not None and getattr(merge, "__name__", "") != "_concatenate":
        raise UsageError(f"theirs: merge_fn={_called(merge)} has no place here, wanted nnx.Bidirectional's own")
    first, second = _one_way(forward, nonlinearity), _one_way(backward, nonlinearity)
    if first.spec != second.spec:
        raise UsageError("theirs: the two RNNs of a Bidirectional differ, wanted two alike")
    return StackLayer(first.spec, first.weights + second.weights)


def _one_way(theirs: Any, nonlinearity: str | None) -> StackLayer:
    """Read one direction: an RNN or its cell."""
    inner = _child(theirs, "cell")
    cell = theirs if inner is None else inner
    named = _dense(cell)
    h, x = (np.asarray(named[name]["kernel"]) for name in ("dense_h", "dense_i"))
    if h.ndim != 2 or x.ndim != 2 or not h.shape[0] or h.shape[1] % h.shape[0] or h.shape[1] // h.shape[0] not in KINDS:
        raise UsageError(f"theirs: dense_h.kernel has shape {list(h.shape)}, wanted [H, H], [H, 3·H] or [H, 4·H]")
    (inputs, _), (units, rows) = x.shape, h.shape
    kind = KINDS[rows // units]
    phi = _activation(cell, kind, nonlinearity)
    biased = BIASED[kind]
    other = "dense_i" if biased == "dense_h" else "dense_h"
    if "bias" in named[other] or "bias" not in named[biased]:
        raise UsageError(f"theirs: wanted a bias in {biased} alone, as flax's cell with {rows // units} gates has it")
    order = LAYOUT[kind]
    bias = order.ours(array(f"{biased}.bias", named[biased]["bias"], rows), kind)
    zeros = np.zeros_like(bias)
    w_ih = order.ours(array("dense_i.kernel", x, inputs, rows).T, kind)
    w_hh = order.ours(array("dense_h.kernel", h, units, rows).T, kind)
    biases = (bias, zeros) if biased == "dense_i" else (zeros, bias)
    return StackLayer(CellSpec(kind, inputs, units, activation=phi), (Weights(w_ih, w_hh, *biases),))


def _dense(cell: Any) -> dict[str, dict[str, Any]]:
    """The weights ``dense_i`` and ``dense_h`` of a cell. An ``LSTMCell`` has one product per gate; they are joined."""
    dense = {name: _linear(_child(cell, name)) for name in ("dense_i", "dense_h")}
    if all("kernel" in weights for weights in dense.values()):
        return dense
    order = LAYOUT["lstm"].gates
    by_gate = {name: [_linear(_child(cell, _name(name, gate))) for gate in order] for name in "ih"}
    if not all("kernel" in weights for gates in by_gate.values() for weights in gates):
        raise UsageError(
            "theirs: found neither dense_i and dense_h nor ii, if_, …, ho, wanted a cell, RNN or Bidirectional of nnx"
        )
    return {
        f"dense_{dense_name}": {
            name: np.concatenate([np.asarray(weights[name]) for weights in gates], axis=-1)
            for name in ("kernel", "bias")
            if all(name in weights for weights in gates)
        }
        for dense_name, gates in by_gate.items()
    }


def _name(name: str, gate: str) -> str:
    """flax's name for the product of x (``i``) or h (``h``) for a gate; ``if`` is a keyword of Python."""
    return "if_" if name + gate == "if" else name + gate


def _linear(node: Any) -> dict[str, Any]:
    """The ``kernel`` and the ``bias`` of a product, if they exist."""
    weights = {name: _child(node, name) for name in ("kernel", "bias")}
    return {name: value for name, value in weights.items() if value is not None}


def _child(node: Any, name: str) -> Any:
    """The item of a mapping or the attribute of a module called ``name``; None if it does not exist."""
    return node.get(name) if isinstance(node, Mapping) else getattr(node, name, None)


def _activation(cell: Any, kind: str, nonlinearity: str | None) -> str:
    """The activation of a SimpleCell, and tanh for the others. Raises ``UsageError`` for other functions."""
    if getattr(cell, "residual", False):
        raise UsageError("theirs: SimpleCell has residual=True, which has no place here")
    gate, phi = getattr(cell, "gate_fn", None), getattr(cell, "activation_fn", None)
    if gate is not None and _called(gate) != "sigmoid":
        raise UsageError(f"theirs: gate_fn={_called(gate)} has no place here, wanted sigmoid")
    if kind != "rnn":
        if nonlinearity is not None:
            raise UsageError(
                f"nonlinearity: got {nonlinearity!r} for a cell with gates, wanted it for a SimpleCell alone"
            )
        if phi is not None and _called(phi) != "tanh":
            raise UsageError(f"theirs: activation_fn={_called(phi)} has no place here, wanted tanh")
        return "tanh"
    own = None if phi is None else _called(phi)
    if own is not None and own not in ("tanh", "relu", "sigmoid"):
        raise UsageError(f"theirs: activation_fn={own} has no place here, wanted tanh, relu or sigmoid")
    if own is not None and nonlinearity not in (None, own):
        raise UsageError(f"nonlinearity: got {nonlinearity!r}, wanted the module's own, {own}")
    return own or nonlinearity or "tanh"


def _called(function: Any) -> str:
    return str(getattr(function, "__name__", function))


def _theirs(weights: Weights[Array], spec: CellSpec, optimized: bool) -> dict[str, Any]:
    kind, order = spec.kind, LAYOUT[spec.kind]
    joined = joined_bias(weights)
    if kind == "gru" and weights.b_hh is not None and np.split(weights.b_hh, 3)[GATES["gru"].index("n")].any():
        raise UsageError("layer: bias_hh of n is not 0, which has no place in flax nnx: its GRU has no bias there")
    bias = np.zeros(len(weights.w_ih), weights.w_ih.dtype) if joined is None else joined
    dense: dict[str, dict[str, Array]] = {
        "dense_i": {"kernel": np.ascontiguousarray(order.theirs(weights.w_ih, kind).T)},
        "dense_h": {"kernel": np.ascontiguousarray(order.theirs(weights.w_hh, kind).T)},
    }
    dense[BIASED[kind]]["bias"] = order.theirs(bias, kind)
    if kind != "lstm" or optimized:
        return dense
    return {
        _name(dense_name[-1], gate): {name: np.split(array, 4, axis=-1)[index] for name, array in product.items()}
        for dense_name, product in dense.items()
        for index, gate in enumerate(order.gates)
    }
