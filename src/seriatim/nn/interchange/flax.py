"""flax nnx: ``OptimizedLSTMCell``, ``LSTMCell``, ``GRUCell``, ``SimpleCell``, alone, in ``RNN`` or ``Bidirectional``.

Parameters are nested mappings from name to array, as ``nnx.to_pure_dict(nnx.state(module, nnx.Param))`` gives them, and
modules have the same names as attributes; nothing of flax is imported.

    {"forward_rnn": {"cell": {"dense_i": {"kernel": …}, "dense_h": {"kernel": …, "bias": …}}}, "backward_rnn": …}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seriatim.errors import UsageError
from seriatim.nn.interchange.convention import CONVENTIONS
from seriatim.nn.interchange.stack import Array, Layer, Part, array, build, joined_bias, listed, parts_of, refuse
from seriatim.notation import GATES
from seriatim.ops.recurrence import Weights
from seriatim.spec import CellSpec

LAYOUT = CONVENTIONS["flax nnx"]
KINDS = {len(order.gates): kind for kind, order in LAYOUT.items()}
BIASED = {"rnn": "dense_i", "lstm": "dense_h", "gru": "dense_i"}
"""Which of the two products has the bias."""


def from_flax(theirs: Any, *, nonlinearity: str | None = None) -> Layer:
    """Parameters or a module of flax, or a list of them each of which reads the one before, → one layer.

    The cell is known by its names and shapes. It reads [B, T, I], as ``nnx.RNN`` does; only a module that says
    ``time_major`` gives one that reads [T, B, I]. ``nonlinearity`` is that of a ``SimpleCell``, which parameters do not
    tell: a module's own, or tanh. The one bias becomes the one of ours that is added where flax adds it, and the other
    is 0. flax carries (c, h) where h_n and c_n stand here.

    Raises ``UsageError`` for anything else: parameters of other cells, ``residual``, gates or activations of other
    functions, ``RNN(reverse=True)``, another ``merge_fn``, and layers that make no one stack.
    """
    found = listed(theirs)
    batch_first = not getattr(found[0], "time_major", False)
    return build([_part(one, nonlinearity) for one in found], batch_first=batch_first)


def to_flax(layer: Layer, *, optimized: bool = True, inference: bool = False) -> list[dict[str, Any]]:
    """A layer → the parameters of each layer of its stack, as they stand in ``nnx.RNN`` or ``nnx.Bidirectional``.

        nnx.update(rnn, to_flax(layer)[0])

    An LSTM is an ``OptimizedLSTMCell``, or an ``LSTMCell`` if not ``optimized``. Our two biases are added; without
    biases flax's is 0. Raises ``UsageError`` for what flax lacks: projection, peephole, layer normalisation, zoneout,
    ``reset_after=False``, a GRU whose block n of ``bias_hh`` is not 0, and our kinds of dropout unless ``inference``.
    """
    parts = parts_of(layer)
    refuse(layer, "flax nnx", (), inference)
    stack = []
    for part in parts:
        cells = [{"cell": _theirs(weights, part.spec, optimized)} for weights in part.weights]
        stack.append(cells[0] if len(cells) == 1 else {"forward_rnn": cells[0], "backward_rnn": cells[1]})
    return stack


def _part(theirs: Any, nonlinearity: str | None) -> Part:
    """One layer: a cell, an RNN or a Bidirectional."""
    forward, backward = _child(theirs, "forward_rnn"), _child(theirs, "backward_rnn")
    if forward is None or backward is None:
        if getattr(theirs, "reverse", None) is True:  # of an RNN in a Bidirectional it means nothing
            raise UsageError("theirs: RNN has reverse=True; wanted False, and reverse=True when the layer is called")
        return _one_way(theirs, nonlinearity)
    merge = getattr(theirs, "merge_fn", None)
    if merge is not None and getattr(merge, "__name__", "") != "_concatenate":
        raise UsageError(f"theirs: merge_fn={_called(merge)} has no place here, wanted nnx.Bidirectional's own")
    first, second = _one_way(forward, nonlinearity), _one_way(backward, nonlinearity)
    if first.spec != second.spec:
        raise UsageError("theirs: the two RNNs of a Bidirectional differ, wanted two alike")
    return Part(first.spec, first.weights + second.weights)


def _one_way(theirs: Any, nonlinearity: str | None) -> Part:
    """An RNN or its cell."""
    inner = _child(theirs, "cell")
    cell = theirs if inner is None else inner
    named = _dense(cell)
    h, x = (np.asarray(named[which]["kernel"]) for which in ("dense_h", "dense_i"))
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
    none = np.zeros_like(bias)
    w_ih = order.ours(array("dense_i.kernel", x, inputs, rows).T, kind)
    w_hh = order.ours(array("dense_h.kernel", h, units, rows).T, kind)
    of_both = (bias, none) if biased == "dense_i" else (none, bias)
    return Part(CellSpec(kind, inputs, units, activation=phi), (Weights(w_ih, w_hh, *of_both),))


def _dense(cell: Any) -> dict[str, dict[str, Any]]:
    """``dense_i`` and ``dense_h`` of a cell, joined from one product for each gate if it is an ``LSTMCell``."""
    found = {which: _linear(_child(cell, which)) for which in ("dense_i", "dense_h")}
    if all("kernel" in one for one in found.values()):
        return found
    order = LAYOUT["lstm"].gates
    apart = {which: [_linear(_child(cell, _name(which, gate))) for gate in order] for which in "ih"}
    if not all("kernel" in one for each in apart.values() for one in each):
        raise UsageError(
            "theirs: found neither dense_i and dense_h nor ii, if_, …, ho, wanted a cell, RNN or Bidirectional of nnx"
        )
    return {
        f"dense_{which}": {
            name: np.concatenate([np.asarray(one[name]) for one in each], axis=-1)
            for name in ("kernel", "bias")
            if all(name in one for one in each)
        }
        for which, each in apart.items()
    }


def _name(which: str, gate: str) -> str:
    """Of the product of x (``i``) or h (``h``) for a gate: ``if`` is a word of Python."""
    return "if_" if which + gate == "if" else which + gate


def _linear(given: Any) -> dict[str, Any]:
    """``kernel`` and ``bias`` of a product, as far as they are there."""
    both = {name: _child(given, name) for name in ("kernel", "bias")}
    return {name: one for name, one in both.items() if one is not None}


def _child(node: Any, name: str) -> Any:
    """What is called ``name`` in a mapping or a module; None if nothing is."""
    return node.get(name) if isinstance(node, Mapping) else getattr(node, name, None)


def _activation(cell: Any, kind: str, nonlinearity: str | None) -> str:
    """φ of a SimpleCell, tanh of the others. Raises ``UsageError`` for a module that computes something else."""
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
        _name(which[-1], gate): {name: np.split(one, 4, axis=-1)[place] for name, one in product.items()}
        for which, product in dense.items()
        for place, gate in enumerate(order.gates)
    }
