"""Conversion from and to Keras 3: ``SimpleRNN``, ``LSTM``, ``GRU``, ``Bidirectional``, and ``RNN`` with their cells.

Keras is not imported: a layer is any object with ``get_config()`` and ``get_weights()``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seriatim.errors import UsageError
from seriatim.layouts.convention import CONVENTIONS
from seriatim.layouts.stack_layer import Array, StackLayer, array, extent
from seriatim.nn.interchange.stack import Layer, build, joined_bias, listed, parts_of, refuse
from seriatim.ops.recurrence import Weights
from seriatim.spec import CellSpec

KINDS = {"SimpleRNN": "rnn", "LSTM": "lstm", "GRU": "gru"}
NAMES = {kind: name for name, kind in KINDS.items()}
PHI = {"rnn": ("tanh", "relu", "sigmoid"), "lstm": ("tanh",), "gru": ("tanh",)}
TRAINING = (
    "dropout", "recurrent_dropout", "kernel_regularizer", "recurrent_regularizer", "bias_regularizer",
    "activity_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint",
)  # fmt: skip
"""Options that act in training alone."""


@dataclass(frozen=True)
class KerasLayer:
    """A layer of Keras as data. ``to_keras`` returns it, and ``from_keras`` takes it in place of a layer of Keras."""

    class_name: str
    config: Mapping[str, Any]
    weights: Sequence[Array]
    """In the order of ``get_weights`` and ``set_weights``."""

    def get_config(self) -> Mapping[str, Any]:
        return self.config

    def get_weights(self) -> Sequence[Array]:
        return self.weights

    def serialized(self) -> dict[str, Any]:
        """The argument of ``keras.layers.deserialize``. Build the resulting layer, then set its ``weights``."""
        return _serialized(self.class_name, self.config)


def from_keras(layers: Any, *, inference: bool = False) -> Layer:
    """Convert a layer of Keras, or a list of layers that form a stack, to one layer with copies of the weights.

    The layer reads [B, T, I], as Keras does, and has the dtype of the weights. A single bias becomes ``bias_ih``, and
    ``bias_hh`` is 0. ``h_n`` and ``c_n`` are Keras's states.

    Raises ``UsageError`` for other layers, a layer that is not built, activations that the cell lacks, ``stateful``,
    ``go_backwards``, a merge of two directions other than ``concat``, and layers that do not form one stack (the same
    cell and width, all with biases or all without). It also refuses dropout, regularisers and constraints, which act in
    training alone; with ``inference`` they are left out.
    """
    return build([_part(layer, inference) for layer in listed(layers)], batch_first=True)


def to_keras(layer: Layer, *, inference: bool = False) -> list[KerasLayer]:
    """Convert a layer to its stack as layers of Keras, which return sequences.

        for theirs, converted in zip(model.layers, to_keras(layer)): theirs.set_weights(converted.weights)

    If Keras has one bias, it is the sum of the two. Raises ``UsageError`` for options that Keras lacks: projection,
    peephole, layer normalisation, zoneout, and dropout unless ``inference``.
    """
    parts = parts_of(layer)
    refuse(layer, "Keras", ["reset_after"], inference)
    return [_theirs(part) for part in parts]


def _part(layer: Any, inference: bool) -> StackLayer:
    """Read one layer of Keras, which may be a ``Bidirectional``."""
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
    return StackLayer(forward.spec, forward.weights + reverse.weights)


def _one_way(
    name: str, config: Mapping[str, Any], weights: Sequence[Any], backwards: bool, inference: bool
) -> StackLayer:
    """Read one direction from the class name, config and weights of a layer."""
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
        weight_name: array(f"{name}.{weight_name}", value, *shape)
        for (weight_name, shape), value in zip(shapes.items(), weights, strict=True)
    }
    spec = CellSpec(
        kind, inputs, units, activation=config["activation"] if kind == "rnn" else "tanh", bias=bias, reset_after=after
    )
    return StackLayer(spec, (_ours(named, kind),))


def _refuse(name: str, kind: str, config: Mapping[str, Any], backwards: bool, inference: bool) -> None:
    """Raise ``UsageError`` for options of the layer that Seriatim's layers lack."""
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
    for weight_name in TRAINING if not inference else ():
        if config.get(weight_name):
            hint = "inference=True leaves it out, as it acts in training alone"
            raise UsageError(
                f"layers: {name} has {weight_name}={config[weight_name]!r}, which has no place here; {hint}"
            )


def _ours(named: Mapping[str, Array], kind: str) -> Weights[Array]:
    order = CONVENTIONS["Keras"][kind]
    kernels = (order.ours(named[name].T, kind) for name in ("kernel", "recurrent_kernel"))
    if "bias" not in named:
        return Weights(*kernels)
    bias = named["bias"]
    biases = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    return Weights(*kernels, *(order.ours(array, kind) for array in biases))


def _theirs(part: StackLayer) -> KerasLayer:
    spec, name = part.spec, NAMES[part.kind]
    config = {
        "units": spec.hidden_size, "activation": spec.activation, "use_bias": spec.bias, "return_sequences": True,
        "dtype": str(part.weights[0].w_ih.dtype),
    }  # fmt: skip
    if part.kind == "gru":
        config["reset_after"] = spec.reset_after
    weights = [array for direction in part.weights for array in _theirs_one_way(direction, spec)]
    if len(part.weights) == 1:
        return KerasLayer(name, config, weights)
    bidirectional = {"layer": _serialized(name, config), "merge_mode": "concat", "dtype": config["dtype"]}
    return KerasLayer("Bidirectional", bidirectional, weights)


def _theirs_one_way(weights: Weights[Array], spec: CellSpec) -> list[Array]:
    order = CONVENTIONS["Keras"][spec.kind]
    kernels = [np.ascontiguousarray(order.theirs(array, spec.kind).T) for array in (weights.w_ih, weights.w_hh)]
    joined = joined_bias(weights)
    if joined is None:
        return kernels
    if spec.kind == "gru" and spec.reset_after:
        biases = [weights.b_ih, weights.b_hh]
        return [*kernels, np.stack([order.theirs(array, spec.kind) for array in biases if array is not None])]
    return [*kernels, order.theirs(joined, spec.kind)]


def _serialized(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": name, "config": dict(config), "registered_name": None}
