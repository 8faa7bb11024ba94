"""A model of an ONNX file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, UsageError
from seriatim.runtime.model import Row, Stream, StreamModel
from seriatim.runtime.onnx.file import read_onnx
from seriatim.runtime.onnx.graph import Graph
from seriatim.runtime.state import State

Array = NDArray[Any]

STATE_IN: Final = "state_in_"
STATE_OUT: Final = "state_out_"
LENGTHS: Final = "lengths"
METADATA: Final = "seriatim"
"""The key of the metadata that has the description of an exported model, as JSON."""


@final
class OnnxModel(StreamModel):
    """A graph of ONNX with recurrent nodes, from any program.

        model = seriatim.runtime.load("model.onnx")
        outputs = model.run({"units": [[1], [5]], "state_in_00_h": ...})      all inputs and outputs by name
        stream = model.stream()                                               the states are carried
        outputs = stream.step(5)

    An input ``state_in_NAME`` and an output ``state_out_NAME`` are a state, which is zero at the beginning of a stream.
    The input that is not a state has axes [T, B, ...].
    """

    task: ClassVar[str] = "onnx"

    def __init__(self, path: Path) -> None:
        content, raw = read_onnx(path)
        self.path, self.name, self.columns, self.info = path, path.stem, {}, {}
        self.hash = hashlib.sha256(raw).hexdigest()
        self.metadata: Mapping[str, str] = content.metadata
        self._graph = Graph(path, content)
        self.inputs, self.outputs = content.inputs, content.outputs
        self.optional_inputs = content.optional_inputs
        self._states = [part for part in self.inputs if part.name.startswith(STATE_IN)]
        others = [part for part in self.inputs if part not in self._states]
        self._read = [part for part in others if part.name != LENGTHS]
        self._has_lengths = len(self._read) < len(others)
        names = {part.name for part in self.outputs}
        self._has_stream = bool(self._states) and len(self._read) == 1
        for part in self._states:
            named = [size for size in part.shape if isinstance(size, str)]
            self._has_stream &= _after(part.name) in names and len(named) <= 1

    @property
    def description(self) -> Mapping[str, Any]:
        """The description of the exported model (``docs/runtime_format.md``); empty for files of other programs."""
        try:
            content = json.loads(self.metadata.get(METADATA, "{}"))
        except (ValueError, RecursionError):
            raise DataError(f"{self.path}: the metadata '{METADATA}' is damaged") from None
        return content if isinstance(content, dict) else {}

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Return all outputs by name, for all inputs by name. ``optional_inputs`` may be left out."""
        return self._graph.run(inputs)

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        """Yield the outputs of each row: the steps [T, ...] of the input that is not a state."""
        if len(self._read) != 1:
            raise UsageError(f"predict: the model reads {len(self._read)} inputs at once; call run with all of them")
        for number, row in enumerate(rows, 1):
            try:
                steps = np.asarray(row, self._read[0].dtype)[:, None]
            except (TypeError, ValueError, IndexError) as error:
                shown = type(row).__name__
                raise DataError(f"row {number}: got a {shown}, wanted an array of steps ({error})") from None
            outputs = self.run(self._inputs(steps, State()))
            yield {name: value.tolist() for name, value in outputs.items() if not name.startswith(STATE_OUT)}

    def _inputs(self, steps: Array, state: State) -> dict[str, Any]:
        inputs = {self._read[0].name: steps}
        if self._has_lengths:
            inputs[LENGTHS] = np.full(steps.shape[1], len(steps), np.int32)
        return inputs | dict(zip((part.name for part in self._states), state.carry or self._start(), strict=True))

    def _start(self) -> tuple[Array, ...]:
        """Return the states of one row at the beginning: zeros."""
        return tuple(
            np.zeros([1 if isinstance(size, str) else size for size in part.shape], part.dtype) for part in self._states
        )

    def stream(self, *, seed: int | None = None) -> Stream:
        if not self._has_stream:
            expected = f"one input beside states, {STATE_IN}NAME and {STATE_OUT}NAME"
            raise UsageError(f"stream: {self.path.name} cannot read a stream, wanted {expected}")
        return Stream(self, seed)

    def begin(self, seed: int | None) -> State:
        return State(carry=self._start())

    def read_input(self, x: Any) -> Any:
        """Check the input of one step, without the axes of steps and rows."""
        part = self._read[0]
        try:
            step = np.asarray(x, part.dtype)
        except (TypeError, ValueError) as error:
            raise DataError(f"x: {error}") from None
        if step.ndim != len(part.shape) - 2:
            raise DataError(f"x: got {step.ndim} axes, wanted {len(part.shape) - 2}")
        return step[None, None]

    def advance(self, states: Sequence[State], inputs: Sequence[Any]) -> list[Any]:
        """Return the other outputs of each stream, without axes of one step and one row. Each stream runs by itself."""
        answers = []
        for state, x in zip(states, inputs, strict=True):
            outputs = self.run(self._inputs(x, state))
            state.carry = tuple(outputs.pop(_after(part.name)) for part in self._states)
            state.position += 1
            answers.append({name: _without_axes(value) for name, value in outputs.items()})
        return answers

    def check_state(self, state: State) -> None:
        expected = [(part.shape, part.dtype) for part in self._start()]
        if [(part.shape, part.dtype) for part in state.carry] != expected or state.arrays or state.values:
            raise DataError("snapshot: damaged (states of other shapes)")


def _after(name: str) -> str:
    return STATE_OUT + name.removeprefix(STATE_IN)


def _without_axes(value: Array) -> Array:
    """Remove the axes of one step and one row: the first two, where they have one element. One axis always stays."""
    for _ in range(2):
        if value.ndim and value.shape[0] == 1 and value.ndim > 1:
            value = value[0]
    return value
