"""Keras 3: ``SimpleRNN``, ``LSTM``, ``GRU``, ``Bidirectional`` of them, and ``RNN`` over one of their cells.

Nothing of Keras is imported: a layer is anything with ``get_config()`` and ``get_weights()``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seriatim.errors import UsageError
from seriatim.nn.interchange.convention import CONVENTIONS
from seriatim.nn.interchange.stack import (
    Array,
    Layer,
    Part,
    array,
    build,
    extent,
    joined_bias,
    listed,
    parts_of,
    refuse,
)
from seriatim.ops.recurrence import Weights
from seriatim.spec import CellSpec

KINDS = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
NAMES = {kind: name for name, kind in KINDS.items()}
PHI = {"rnn": ("tanh", "relu", "sigmoid"), "lstm": ("tanh",), "gru": ("tanh",)}
TRAINING = (
    "dropout", "recurrent_dropout", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
    "activity_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint",
)  # fmt: skip
"""What acts in training alone."""


@dataclass(frozen=True)
class KerasLayer:
    """A layer of Keras as data: what ``to_keras`` gives, and ``from_keras`` takes like Keras's own."""

    class_name: str
    config: Mapping[str, Any]
    weights: Sequence[Array]
    """In the order of ``get_weights`` and ``set_weights``."""

    def get_config(self) -> Mapping[str, Any]:
        return self.config

    def get_weights(self) -> Sequence[Array]:
        return self.weights

    def serialized(self) -> dict[str, Any]:
        """For ``keras.layers.deserialize``. The layer that it makes takes ``weights`` once it is built."""
        return _serialized(self.class_name, self.config)


def from_keras(layers: Any, *, inference: bool = False) -> Layer:
    """A layer of Keras, or a list of layers each of which reads the one before, → one layer with copies of the weights.

    It reads [B, T, I], as Keras does, and keeps the weights' dtype. A single bias becomes ``bias_ih``, and ``bias_hh``
    is 0. ``h_n`` and ``c_n`` are Keras's states.

    Raises ``UsageError`` for other layers, one that is not built, activations that the cell lacks, ``stateful``,
    ``go_backwards``, a merge of two directions other than ``concat``, and layers that make no one stack (of one cell,
    one width, with biases or without). So it does for dropout, regularisers and constraints, which act in training
    alone; with ``inference`` they are left out.
    """
    return build([_part(one, inference) for one in listed(layers)], batch_first=True)


def to_keras(layer: Layer, *, inference: bool = False) -> list[KerasLayer]:
    """A layer → its stack as layers of Keras, which return sequences.

        for theirs, found in zip(model.layers, to_keras(layer)): theirs.set_weights(found.weights)

    Where Keras has one bias it is the sum of our two. Raises ``UsageError`` for what Keras lacks: projection, peephole,
    layer normalisation, zoneout, and our kinds of dropout unless ``inference``.
    """
    parts = parts_of(layer)
    refuse(layer, "Keras", ["reset_after"], inference)
    return [_theirs(part) for part in parts]


def _part(layer: Any, inference: bool) -> Part:
    """One layer of Keras, which may be a ``Bidirectional``."""
    name = getattr(layer, "class_name", type(layer).__name__)
    if not (hasattr(layer, "get_config") and hasattr(layer, "get_weights")):
        raise UsageError(f"layers: got {name}, wanted layers of Keras, which have get_config and get_weights")
    config, weights = layer.get_config(), list(layer.get_weights())
    if name != "Bidirectional":
        return _one_way(name, config, weights, False, inference)
    if config.get("merge_mode") != "concat":
        raise UsageError(f"layers: merge_mode={config.get('merge_mode')!r} has no place here, wanted 'concat'")
    inner = config["layer"]
    other = config.get("backward_layer") or inner
    half = len(weights) // 2
    forward = _one_way(inner["class_name"], inner["config"], weights[:half], False, inference)
    backwards = {**other["config"], "go_backwards": True}
    reverse = _one_way(other["class_name"], backwards, weights[half:], True, inference)
    if forward.spec != reverse.spec:
        raise UsageError("layers: the two layers of a Bidirectional differ, wanted two alike")
    return Part(forward.spec, forward.weights + reverse.weights)


def _one_way(name: str, config: Mapping[str, Any], weights: Sequence[Any], backwards: bool, inference: bool) -> Part:
    """One direction: what ``name`` is with ``config``, and its weights."""
    if name == "RNN":
        cell = config["cell"]
        name, config = cell["class_name"].removesuffix("Cell"), {**config, **cell["config"]}
    if name not in KINDS:
        raise UsageError(f"layers: got Keras's {name}, wanted SimpleRNN, LSTM, GRU or Bidirectional of one")
    kind = KINDS[name]
    _refuse(name, kind, config, backwards, inference)
    if not weights:
        raise UsageError(f"layers: {config.get('name', name)} has no weights yet, wanted a layer that is built")
    units, bias, after = config["units"], config["use_bias"], config.get("reset_after", True)
    rows, inputs = len(CONVENTIONS["Keras"][kind].gates) * units, extent("kernel", weights[0])[0]
    shapes: dict[str, tuple[int, ...]] = {"kernel": (inputs, rows), "recurrent_kernel": (units, rows)}
    if bias:
        shapes["bias"] = (2, rows) if kind == "gru" and after else (rows,)
    if len(weights) != len(shapes):
        raise UsageError(f"layers: got {len(weights)} arrays for {name}, wanted {', '.join(shapes)}")
    named = {
        which: array(f"{name}.{which}", one, *shape)
        for (which, shape), one in zip(shapes.items(), weights, strict=True)
    }
    spec = CellSpec(
        kind, inputs, units, activation=config["activation"] if kind == "rnn" else "tanh", bias=bias, reset_after=after
    )
    return Part(spec, (_ours(named, kind),))


def _refuse(name: str, kind: str, config: Mapping[str, Any], backwards: bool, inference: bool) -> None:
    """Raise ``UsageError`` for what the layer does beyond its weights and has no place here."""
    if config["activation"] not in PHI[kind]:
        raise UsageError(f"layers: {name} has activation={config['activation']!r}, wanted {' or '.join(PHI[kind])}")
    if config.get("recurrent_activation", "sigmoid") != "sigmoid":
        raise UsageError(f"layers: {name} has recurrent_activation={config['recurrent_activation']!r}, wanted sigmoid")
    if config.get("stateful"):
        raise UsageError(f"layers: {name} has stateful=True; wanted False, and a seriatim.nn.Stream of what comes out")
    if config.get("go_backwards", False) != backwards:
        raise UsageError(
            f"layers: {name} has go_backwards=True; wanted False, and reverse=True when the layer is called"
        )
    for which in TRAINING if not inference else ():
        if config.get(which):
            hint = "inference=True leaves it out, as it acts in training alone"
            raise UsageError(f"layers: {name} has {which}={config[which]!r}, which has no place here; {hint}")


def _ours(named: Mapping[str, Array], kind: str) -> Weights[Array]:
    order = CONVENTIONS["Keras"][kind]
    kernels = (order.ours(named[which].T, kind) for which in ("kernel", "recurrent_kernel"))
    if "bias" not in named:
        return Weights(*kernels)
    given = named["bias"]
    both = given if given.ndim == 2 else np.stack([given, np.zeros_like(given)])
    return Weights(*kernels, *(order.ours(one, kind) for one in both))


def _theirs(part: Part) -> KerasLayer:
    spec, name = part.spec, NAMES[part.kind]
    config = {
        "units": spec.hidden_size, "activation": spec.activation, "use_bias": spec.bias, "return_sequences": True,
        "dtype": str(part.weights[0].w_ih.dtype),
    }  # fmt: skip
    if part.kind == "gru":
        config["reset_after"] = spec.reset_after
    weights = [one for each in part.weights for one in _theirs_one_way(each, spec)]
    if len(part.weights) == 1:
        return KerasLayer(name, config, weights)
    both = {"layer": _serialized(name, config), "merge_mode": "concat", "dtype": config["dtype"]}
    return KerasLayer("Bidirectional", both, weights)


def _theirs_one_way(weights: Weights[Array], spec: CellSpec) -> list[Array]:
    order = CONVENTIONS["Keras"][spec.kind]
    found = [np.ascontiguousarray(order.theirs(one, spec.kind).T) for one in (weights.w_ih, weights.w_hh)]
    joined = joined_bias(weights)
    if joined is None:
        return found
    if spec.kind == "gru" and spec.reset_after:
        both = [weights.b_ih, weights.b_hh]
        return [*found, np.stack([order.theirs(one, spec.kind) for one in both if one is not None])]
    return [*found, order.theirs(joined, spec.kind)]


def _serialized(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": name, "config": dict(config), "registered_name": None}
