"""A graph of ONNX, checked when it is loaded, and run node after node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, RunError, UsageError, nearest
from seriatim.layouts.onnx_nodes import INPUTS as RECURRENT
from seriatim.runtime.onnx.file import Input, Node, OnnxGraph
from seriatim.runtime.onnx.operators import OPERATORS
from seriatim.runtime.onnx.recurrent import RecurrentNode

Array = NDArray[Any]


@final
class Graph:
    """A graph whose nodes are known and in order. Raises ``RunError`` for any other."""

    def __init__(self, path: Path, content: OnnxGraph) -> None:
        self.inputs, self.outputs = content.inputs, content.outputs
        self._constants = dict(content.constants)
        self._nodes: list[tuple[Node, RecurrentNode | None]] = []
        known = {*self._constants, *(part.name for part in self.inputs), ""}
        for node in content.nodes:
            if node.op_type not in OPERATORS and node.op_type not in RECURRENT:
                known_types = [*RECURRENT, *OPERATORS]
                hint = nearest(node.op_type, known_types)
                raise RunError(f"{path}: this runtime has no operator for {node}{hint}")
            for name in node.inputs:
                if name not in known:
                    raise RunError(f"{path}: {node} reads '{name}', which no node before it makes")
            self._add(path, node)
            known |= set(node.outputs)
        for part in self.outputs:
            if not part.name or part.name not in known:
                raise RunError(f"{path}: no node makes the output '{part.name}'")

    def _add(self, path: Path, node: Node) -> None:
        """Add a node. A constant is evaluated at once."""
        if node.op_type in RECURRENT:
            try:
                self._nodes.append((node, RecurrentNode(node, self._constants)))
            except RunError as error:
                raise RunError(f"{path}: {error}") from None
        elif node.op_type == "Constant":
            try:
                self._constants |= _run(node, None, {})
            except DataError as error:
                raise RunError(f"{path}: {error}") from None
        else:
            self._nodes.append((node, None))

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Array]:
        """Return the outputs by name. Raises ``UsageError`` or ``DataError`` for inputs that do not fit."""
        names = [part.name for part in self.inputs]
        for name in inputs:
            if name not in names:
                raise UsageError(f"inputs: no input '{name}'{nearest(name, names)}; the model reads {', '.join(names)}")
        values: dict[str, Array] = dict(self._constants)
        sizes: dict[str, int] = {}
        for part in self.inputs:
            if part.name not in inputs:
                raise UsageError(f"inputs: no '{part.name}'; the model reads {', '.join(names)}")
            values[part.name] = _checked(part, inputs[part.name], sizes)
        for node, recurrent in self._nodes:
            values |= _run(node, recurrent, values)
        return {part.name: _value(values, part.name, "the model returns") for part in self.outputs}


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


def _run(node: Node, recurrent: RecurrentNode | None, values: Mapping[str, Array]) -> dict[str, Array]:
    """Run one node; return its outputs by name."""
    inputs: list[Any] = [_value(values, name, f"{node} reads") if name else None for name in node.inputs]
    try:
        with np.errstate(all="ignore"):
            results = OPERATORS[node.op_type](node, inputs) if recurrent is None else recurrent.run(inputs)
    except (DataError, UsageError) as error:
        raise DataError(f"{node}: {error}") from None
    except (ValueError, IndexError, TypeError, KeyError, AttributeError, OverflowError, ArithmeticError) as error:
        raise DataError(
            f"{node}: its inputs do not fit ({str(error) or type(error).__name__})".split("\n")[0]
        ) from None
    return {name: value for name, value in zip(node.outputs, results, strict=False) if name}


def _value(values: Mapping[str, Array], name: str, reader: str) -> Array:
    """Return a value. Raises ``DataError`` for an optional output of a node that this runtime does not compute."""
    if name not in values:
        raise DataError(f"{reader} '{name}', an output that this runtime does not compute")
    return values[name]
