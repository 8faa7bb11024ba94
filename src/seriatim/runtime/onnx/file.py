"""An ONNX file as data: the fields of ``onnx.proto`` that inference needs.

Sizes are checked before memory is taken, and data outside the file are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.controls import CONTROLS
from seriatim.errors import RunError
from seriatim.runtime.onnx.wire import Message

Array = NDArray[Any]

LARGEST_FILE: Final = 1 << 31
"""Bytes; protocol buffers allow no more."""
MOST_AXES: Final = 8
LONGEST_NAME: Final = 250
TYPES: Final[dict[int, Any]] = {
    1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
    11: np.float64, 12: np.uint32, 13: np.uint64,
}  # fmt: skip
"""``TensorProto.DataType`` → the type of NumPy. The others (texts, 16-bit and complex numbers) are refused."""
VALUES: Final = {1: 4, 2: 5, 3: 5, 4: 5, 5: 5, 6: 5, 7: 7, 9: 5, 11: 10, 12: 11, 13: 11}
"""The field of a tensor's values by its type, if they are not raw bytes."""
SCAN: Final = "Scan"
"""The operator whose attribute may be a graph."""
OLDEST, NEWEST = 13, 28
"""The versions of ONNX's operators that ``operators.py`` follows. Their meaning is the same in all of these."""


@dataclass(frozen=True)
class Input:
    """An input or an output of a graph."""

    name: str
    dtype: Any
    """The NumPy type."""
    shape: tuple[int | str, ...]
    """A name stands for a size that may differ from call to call; it is empty if the file has none."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph."""

    op_type: str
    name: str
    inputs: tuple[str, ...]
    """The names of values; an empty name is an absent input."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.op_type} '{self.name}'" if self.name else self.op_type


@dataclass(frozen=True)
class Body:
    """The graph inside a node ``Scan``. It may read the values of the graph around it."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class OnnxGraph:
    """A model: its graph, and the remarks of its author."""

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[Input, ...]
    optional_inputs: tuple[Input, ...]
    """Inputs whose default is the constant of the same name, and whose shape has an axis with a name. (Weights may be
    listed as inputs too; their sizes are fixed.)"""
    outputs: tuple[Input, ...]
    metadata: Mapping[str, str]


def read_onnx(path: Path) -> tuple[OnnxGraph, bytes]:
    """Read the file at ``path``; return its content and its bytes. Raises ``RunError``."""
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise RunError(f"{path}: {size} bytes, wanted at most {LARGEST_FILE}")
        raw = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        return _model(Message(memoryview(raw))), raw
    except (ValueError, OverflowError) as error:
        raise RunError(f"{path}: no ONNX model that this runtime reads ({error})") from None


def _model(model: Message) -> OnnxGraph:
    if not model.has(7):
        raise ValueError("no graph")
    if model.has(25) or model.has(20):
        raise ValueError("it has functions or training information")
    versions = {part.text(1): part.integer(2) for part in model.messages(8)}
    if set(versions) - {"", "ai.onnx"}:
        raise ValueError(f"operators of {', '.join(sorted(set(versions) - {'', 'ai.onnx'}))!r}, wanted ONNX's own")
    version = versions.get("", versions.get("ai.onnx", 0))
    if not OLDEST <= version <= NEWEST:
        raise ValueError(f"operators of version {version}, wanted {OLDEST} to {NEWEST}")
    graph = model.message(7)
    if graph.has(15):
        raise ValueError("it has sparse tensors")
    constants = dict(map(_tensor, graph.messages(5)))
    metadata = {part.text(1): part.text(2) for part in model.messages(14)}
    inputs = tuple(_input(part) for part in graph.messages(11) if part.text(1) not in constants)
    with_default = (_input(part) for part in graph.messages(11) if part.text(1) in constants)
    optional_inputs = tuple(part for part in with_default if any(isinstance(size, str) for size in part.shape))
    outputs = tuple(map(_input, graph.messages(12)))
    nodes = tuple(map(_node, graph.messages(1)))
    return OnnxGraph(nodes, constants, inputs, optional_inputs, outputs, metadata)


def _body(graph: Message) -> Body:
    """Read the graph inside a node. Its own nodes have none."""
    if graph.has(15):
        raise ValueError("it has sparse tensors")
    nodes = tuple(_node(part, is_inside=True) for part in graph.messages(1))
    inputs, outputs = (tuple(_name(part.text(1)) for part in graph.messages(number)) for number in (11, 12))
    return Body(nodes, dict(map(_tensor, graph.messages(5))), inputs, outputs)


def _node(part: Message, is_inside: bool = False) -> Node:
    if part.text(7) not in ("", "ai.onnx"):
        raise ValueError(f"a node of {part.text(7)!r}, wanted ONNX's own operators")
    may_have_graph = part.text(4) == SCAN and not is_inside
    attributes = dict(_attribute(attribute, may_have_graph) for attribute in part.messages(5))
    return Node(_name(part.text(4)), _name(part.text(3)), _names(part.texts(1)), _names(part.texts(2)), attributes)


def _names(names: list[str]) -> tuple[str, ...]:
    return tuple(map(_name, names))


def _name(name: str) -> str:
    """Check a name, which error messages quote."""
    if len(name) > LONGEST_NAME or CONTROLS.search(name):
        raise ValueError("a name is too long or has control characters")
    return name


def _attribute(part: Message, may_have_graph: bool) -> tuple[str, Any]:
    name, type_ = _name(part.text(1)), part.integer(20)
    read: dict[int, Any] = {
        1: lambda: part.floats(2)[-1] if part.has(2) else 0.0,
        2: lambda: part.integer(3),
        3: lambda: part.text(4),
        4: lambda: _tensor(part.message(5))[1],
        **({5: lambda: _body(part.message(6))} if may_have_graph else {}),
        6: lambda: part.floats(7),
        7: lambda: part.integers(8),
        8: lambda: part.texts(9),
    }
    if type_ not in read:
        raise ValueError(f"attribute '{name}' is a graph or of another unknown type")
    return name, read[type_]()


def _tensor(part: Message) -> tuple[str, Array]:
    """Return the name and the values of a tensor."""
    name, code, shape = _name(part.text(8)), part.integer(2), part.integers(1)
    if part.integer(14) or part.has(13):
        raise ValueError(f"tensor '{name}' is stored in another file")
    if part.has(3):
        raise ValueError(f"tensor '{name}' is stored in segments")
    if code not in TYPES:
        raise ValueError(f"tensor '{name}' has the type {code}, wanted {', '.join(map(str, TYPES))}")
    if len(shape) > MOST_AXES or any(size < 0 for size in shape):
        raise ValueError(f"tensor '{name}' has the shape {shape}")
    dtype, count = np.dtype(TYPES[code]).newbyteorder("<"), math.prod(shape)
    if part.has(9):
        raw = part.parts(9)[-1]
        if len(raw) != count * dtype.itemsize:
            raise ValueError(f"tensor '{name}' of {shape} in {len(raw)} bytes")
        values = np.frombuffer(raw, dtype)
    else:
        values = _listed(part, code, dtype)
        if values.size != count:
            raise ValueError(f"tensor '{name}' of {shape} with {values.size} values")
    if dtype == np.bool_:
        values = values.view(np.uint8) != 0
    return name, values.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _listed(part: Message, code: int, dtype: Any) -> Array:
    """The values of a tensor that are not raw bytes."""
    field = VALUES[code]
    if field == 4:
        return np.array(part.floats(4), np.float32)
    if field == 10:
        return np.frombuffer(b"".join(map(bytes, part.parts(10))), "<f8")
    return np.array(part.integers(field), np.int64).astype(dtype)


def _input(part: Message) -> Input:
    name, tensor = _name(part.text(1)), part.message(2).message(1)
    code = tensor.integer(1)
    if code not in TYPES:
        raise ValueError(f"'{name}' is no tensor of a type that this runtime has")
    shape = [size.integer(1) if size.has(1) else _name(size.text(2)) for size in tensor.message(2).messages(1)]
    return Input(name, np.dtype(TYPES[code]), tuple(shape))
