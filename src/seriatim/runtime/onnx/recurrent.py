"""The nodes ``RNN``, ``LSTM`` and ``GRU``, run by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError, UsageError
from seriatim.layouts.onnx_nodes import INPUTS, OnnxNode, layer_of
from seriatim.runtime.onnx.file import Node
from seriatim.runtime.onnx.operators import check_size
from seriatim.runtime.recurrent import Direction

Array = NDArray[Any]

WEIGHTS: Final = ("W", "R", "B", "P")
STATES: Final = ("initial_h", "initial_c")


@final
class RecurrentNode:
    """One node with its weights in Seriatim's order.

    Raises ``RunError`` for weights that are not constants, and for options that no cell has.
    """

    def __init__(self, node: Node, constants: Mapping[str, Array]) -> None:
        names = dict(zip(INPUTS[node.op_type], node.inputs, strict=False))
        weights = {}
        for name in WEIGHTS:
            if names.get(name):
                if names[name] not in constants:
                    raise RunError(f"{node}: {name} is no constant of the model")
                weights[name] = constants[names[name]]
        try:
            layer = layer_of(OnnxNode(node.op_type, node.attributes, weights, node.name))
        except (UsageError, ValueError, IndexError) as error:
            raise RunError(f"{node}: {error}") from None
        self._is_batch_first = bool(node.attributes.get("layout", 0))
        is_reverse = node.attributes.get("direction", "forward") == "reverse"
        self._spec = layer.spec
        self._directions = [
            Direction(layer.spec, part, (), is_reverse or number == 1) for number, part in enumerate(layer.weights)
        ]
        self._dtype = layer.weights[0].w_ih.dtype
        self._places = {name: place for place, name in enumerate(INPUTS[node.op_type])}

    def run(self, inputs: list[Array | None]) -> list[Array]:
        """Return Y [T, D, B, H], Y_h [D, B, H] and Y_c, with B first if the node's layout is 1."""

        def input_of(name: str) -> Array | None:
            place = self._places.get(name, len(inputs))
            return inputs[place] if place < len(inputs) else None

        x = input_of("X")
        if x is None or x.ndim != 3 or x.shape[2] != self._spec.input_size or x.dtype != self._dtype:
            shown = "nothing" if x is None else f"{list(x.shape)} of {x.dtype}"
            raise DataError(f"X: got {shown}, wanted 3 axes, the last of {self._spec.input_size}, of {self._dtype}")
        x = np.ascontiguousarray(x.swapaxes(0, 1) if self._is_batch_first else x)
        count, (steps, rows) = len(self._directions), x.shape[:2]
        check_size(steps, rows, count * max(self._spec.hidden_size * 6, self._spec.input_size))
        lengths = input_of("sequence_lens")
        if lengths is not None:
            lengths = lengths.astype(np.int64)
            if lengths.shape != (rows,) or not len(lengths) or lengths.min() < 1 or lengths.max() > steps:
                raise DataError(f"sequence_lens: got {lengths.tolist()!r:.60}, wanted {rows} numbers from 1 to {steps}")
        states = [self._state(name, input_of(name), rows) for name in STATES[: len(self._spec.states)]]
        outputs, finals = [], []
        for number, direction in enumerate(self._directions):
            state = tuple(part[number] for part in states)
            if not steps or not rows:
                outputs.append(np.zeros((steps, rows, self._spec.hidden_size), self._dtype))
                finals.append(state)
            elif steps == 1 and lengths is None:
                finals.append(direction.step_rows(x[0], state))
                outputs.append(finals[-1][0][None])
            else:
                output, final_state = direction.run(x, state, lengths)
                outputs.append(output)
                finals.append(final_state)
        y = np.stack(outputs, 1)
        last = [np.stack(parts) for parts in zip(*finals, strict=True)]
        if self._is_batch_first:
            y, last = y.transpose(2, 0, 1, 3), [part.swapaxes(0, 1) for part in last]
        return [y, *last]

    def _state(self, name: str, value: Array | None, rows: int) -> Array:
        shape = (len(self._directions), rows, self._spec.hidden_size)
        if value is None:
            return np.zeros(shape, self._dtype)
        if self._is_batch_first and value.ndim == 3:
            value = value.swapaxes(0, 1)
        if value.shape != shape or value.dtype != self._dtype:
            raise DataError(f"{name}: got {list(value.shape)} of {value.dtype}, wanted {list(shape)} of {self._dtype}")
        return np.ascontiguousarray(value)
