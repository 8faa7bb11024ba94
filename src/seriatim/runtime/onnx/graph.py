"""A graph of ONNX: the inputs and outputs of a model, and its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError, UsageError, nearest
from seriatim.runtime.onnx.file import Input, OnnxGraph
from seriatim.runtime.onnx.nodes import Nodes, value_of

Array = NDArray[Any]


@final
class Graph:
    """A graph whose nodes are known and in order. Raises ``RunError`` for any other."""

    def __init__(self, path: Path, content: OnnxGraph) -> None:
        self.inputs, self.outputs = content.inputs, content.outputs
        self.optional_inputs = content.optional_inputs
        try:
            self._nodes = Nodes(content.nodes, content.constants, [part.name for part in self.inputs])
        except RunError as error:
            raise RunError(f"{path}: {error}") from None
        for part in self.outputs:
            if not part.name or part.name not in self._nodes.names:
                raise RunError(f"{path}: no node makes the output '{part.name}'")

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Return the outputs by name. Raises ``UsageError`` or ``DataError`` for inputs that do not fit."""
        names = [part.name for part in (*self.inputs, *self.optional_inputs)]
        for name in inputs:
            if name not in names:
                raise UsageError(f"inputs: no input '{name}'{nearest(name, names)}; the model reads {', '.join(names)}")
        values: dict[str, Array] = dict(self._nodes.constants)
        sizes: dict[str, int] = {}
        for part in self.inputs:
            if part.name not in inputs:
                raise UsageError(f"inputs: no '{part.name}'; the model reads {', '.join(names)}")
            values[part.name] = _checked(part, inputs[part.name], sizes)
        for part in self.optional_inputs:
            if part.name in inputs:
                values[part.name] = _checked(part, inputs[part.name], sizes)
        self._nodes.run(values)
        return {part.name: value_of(values, part.name, "the model returns") for part in self.outputs}


def _checked(part: Input, value: Any, sizes: dict[str, int]) -> Array:
    """Return the array for an input. ``sizes`` has the sizes of named axes, which all inputs share."""
    try:
        array = np.asarray(value)
        array = array.astype(part.dtype, casting="same_kind" if array.dtype.kind == part.dtype.kind else "safe")
    except (TypeError, ValueError) as error:
        raise DataError(f"{part.name}: {error}") from None
    expected = [sizes.get(size, size) if isinstance(size, str) else size for size in part.shape]
    fits = len(array.shape) == len(expected) and all(
        isinstance(size, str) or size == extent for size, extent in zip(expected, array.shape, strict=True)
    )
    if not fits:
        shown = ", ".join(str(size) or "any" for size in expected)
        raise DataError(f"{part.name}: got {list(array.shape)}, wanted [{shown}]")
    sizes |= {
        size: extent for size, extent in zip(part.shape, array.shape, strict=True) if isinstance(size, str) and size
    }
    return array
