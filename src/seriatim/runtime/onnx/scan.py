"""The node ``Scan``: a graph that runs once for each step of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError
from seriatim.runtime.onnx.file import Body, Node
from seriatim.runtime.onnx.operators import check_size

Array = NDArray[Any]

MOST_STEPS: Final = 1 << 20
"""The largest number of steps. Each takes a call of every node inside."""


class LoadedBody(Protocol):
    """The nodes of a body."""

    @property
    def constants(self) -> Mapping[str, Array]: ...
    @property
    def names(self) -> Collection[str]: ...

    def run(self, values: dict[str, Array]) -> None: ...


@final
class ScanNode:
    """One node with its body.

    ``known`` are the names of the values around the body, and ``load`` loads the body for the values that it may read.
    Raises ``RunError`` for a body that does not fit the node.
    """

    def __init__(self, node: Node, known: Collection[str], load: Callable[[Body, Collection[str]], LoadedBody]) -> None:
        body, sequences = node.attributes.get("body"), node.attributes.get("num_scan_inputs")
        if not isinstance(body, Body):
            raise RunError(f"{node}: no body")
        if not isinstance(sequences, int) or not 0 < sequences <= len(node.inputs) or "" in node.inputs:
            raise RunError(f"{node}: num_scan_inputs is {sequences!r:.20}, wanted 1 to {len(node.inputs)}")
        self._state_count = len(node.inputs) - sequences
        if len(body.inputs) != len(node.inputs) or not self._state_count <= len(body.outputs) <= MOST_STEPS:
            raise RunError(f"{node}: its body has {len(body.inputs)} inputs, wanted {len(node.inputs)}")
        try:
            self._nodes = load(body, {*known, *body.inputs})
        except RunError as error:
            raise RunError(f"{node}: {error}") from None
        for name in body.outputs:
            if not name or name not in self._nodes.names:
                raise RunError(f"{node}: no node of its body makes the output '{name}'")
        self._inputs, self._outputs = body.inputs, body.outputs
        outputs = len(body.outputs) - self._state_count
        self._input_axes = _numbers(node, "scan_input_axes", sequences)
        self._output_axes = _numbers(node, "scan_output_axes", outputs)
        self._input_directions = _numbers(node, "scan_input_directions", sequences)
        self._output_directions = _numbers(node, "scan_output_directions", outputs)
        own_values = {*body.inputs, *self._nodes.constants, ""}
        own_values |= {name for part in body.nodes for name in part.outputs}
        read = {name for part in body.nodes for name in part.inputs} | set(body.outputs)
        self._captured = tuple(sorted(read - own_values))
        self.reads = (*node.inputs, *self._captured)
        """The names of the values that ``run`` takes: the node's inputs, and those around the body that it reads."""

    def run(self, inputs: list[Array]) -> list[Array]:
        """Return the states after the last step, and the stacked outputs of all steps."""
        own, captured = inputs[: len(self._inputs)], inputs[len(self._inputs) :]
        state = own[: self._state_count]
        sequences = [
            _reversed(np.moveaxis(value, axis, 0), direction)
            for value, axis, direction in zip(
                own[self._state_count :], self._input_axes, self._input_directions, strict=True
            )
        ]
        steps = len(sequences[0])
        if not 0 < steps <= MOST_STEPS or any(len(value) != steps for value in sequences):
            shown = ", ".join(str(len(value)) for value in sequences[:8])
            raise DataError(f"got {shown} steps, wanted the same number for all inputs, 1 to {MOST_STEPS}")
        around = {**self._nodes.constants, **dict(zip(self._captured, captured, strict=True))}
        results: list[list[Array]] = []
        for number in range(steps):
            values = {**around, **dict(zip(self._inputs, (*state, *(part[number] for part in sequences)), strict=True))}
            self._nodes.run(values)
            after = [values[name] for name in self._outputs]
            state, result = after[: self._state_count], after[self._state_count :]
            if not results:
                check_size(steps, sum(value.size for value in result))
            elif [value.shape for value in result] != [value.shape for value in results[0]]:
                raise DataError("an output changes its shape from step to step")
            results.append(result)
        stacked = [
            np.moveaxis(_reversed(np.stack(parts), direction), 0, axis)
            for parts, axis, direction in zip(
                zip(*results, strict=True), self._output_axes, self._output_directions, strict=True
            )
        ]
        return [*state, *stacked]


def _numbers(node: Node, name: str, count: int) -> list[int]:
    """Return a number for each input or output; by default zeros."""
    numbers = node.attributes.get(name, [0] * count)
    if not isinstance(numbers, list) or len(numbers) != count or not all(isinstance(number, int) for number in numbers):
        raise RunError(f"{node}: {name} has to have {count} whole numbers")
    return numbers


def _reversed(values: Array, direction: int) -> Array:
    return values[::-1] if direction else values
