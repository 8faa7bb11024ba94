"""The state of a stream, and its snapshot as bytes.

A snapshot is: 8 bytes ``SRTSTATE``; the version and the length of the header, 4 bytes each, little-endian; the header,
JSON with the model's hash, the position, values, and the type and shape of each array; the arrays one after another;
and the SHA-256 of everything before it.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, UsageError

VERSION: Final = 1
MAGIC: Final = b"SRTSTATE"
HEAD: Final = len(MAGIC) + 8
CHECKSUM: Final = 32
TYPES: Final = ("float32", "float64", "int64", "bool")


@dataclass
class State:
    """Everything that decides the future of a stream. Arrays are replaced, never changed in place."""

    carry: tuple[NDArray[Any], ...] = ()
    """The carry of the body, for one row."""
    position: int = 0
    """The number of steps that were read."""
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    """JSON values, such as the state of the random generator; replaced too, never changed in place."""

    def copy(self) -> State:
        """Return a copy that can change without changing this one."""
        return State(self.carry, self.position, dict(self.arrays), dict(self.values))

    def part(self, number: int) -> State:
        """Return the state of member ``number`` of a blend."""
        prefix = f"{number}."
        carry: list[NDArray[Any]] = []
        arrays = {name.removeprefix(prefix): array for name, array in self.arrays.items() if name.startswith(prefix)}
        while f"carry.{len(carry)}" in arrays:
            carry.append(arrays.pop(f"carry.{len(carry)}"))
        values = self.values.get(prefix, {})
        return State(tuple(carry), self.position, arrays, dict(values) if isinstance(values, dict) else {})

    def set_part(self, number: int, part: State) -> None:
        """Store the state of member ``number`` of a blend."""
        prefix = f"{number}."
        arrays = {f"carry.{place}": array for place, array in enumerate(part.carry)} | part.arrays
        kept = {name: array for name, array in self.arrays.items() if not name.startswith(prefix)}
        self.arrays = kept | {prefix + name: array for name, array in arrays.items()}
        self.values = {**self.values, prefix: part.values}


def to_bytes(state: State, model_hash: str) -> bytes:
    """Write a snapshot of ``state``."""
    arrays = {f"carry.{index}": part for index, part in enumerate(state.carry)} | state.arrays
    header = {
        "model": model_hash,
        "position": state.position,
        "values": state.values,
        "arrays": [[name, str(array.dtype), list(array.shape)] for name, array in arrays.items()],
    }
    encoded = json.dumps(header, allow_nan=False).encode()
    parts = [MAGIC, VERSION.to_bytes(4, "little"), len(encoded).to_bytes(4, "little"), encoded]
    content = b"".join([*parts, *(np.ascontiguousarray(array).tobytes() for array in arrays.values())])
    return content + hashlib.sha256(content).digest()


def from_bytes(snapshot: bytes, model_hash: str) -> State:
    """Read a snapshot of the model with this hash.

    Raises ``DataError`` for a damaged or newer snapshot, and ``UsageError`` for a snapshot of another model.
    """
    if not isinstance(snapshot, (bytes, bytearray, memoryview)):
        raise UsageError(f"snapshot: got {type(snapshot).__name__}, wanted bytes")
    content = bytes(snapshot)
    if len(content) < HEAD + CHECKSUM or not content.startswith(MAGIC):
        raise DataError("snapshot: not a snapshot of a stream")
    version = int.from_bytes(content[8:12], "little")
    if version > VERSION:
        raise DataError(f"snapshot: version {version}, but this seriatim reads up to {VERSION}: upgrade")
    if hashlib.sha256(content[:-CHECKSUM]).digest() != content[-CHECKSUM:]:
        raise DataError("snapshot: damaged (its checksum is another)")
    start = HEAD + int.from_bytes(content[12:16], "little")
    try:
        header = json.loads(content[HEAD:start].decode())
        model, position, values, entries = (header[key] for key in ("model", "position", "values", "arrays"))
        if model != model_hash:
            raise UsageError("snapshot: of another model; a state means nothing to other weights")
        if type(position) is not int or position < 0 or not isinstance(values, dict):
            raise ValueError("position or values")
        arrays = {}
        for name, type_, shape in entries:
            if not isinstance(name, str) or type_ not in TYPES or not all(type(n) is int and n >= 0 for n in shape):
                raise ValueError("an array")
            stop = start + math.prod(shape) * np.dtype(type_).itemsize
            if stop > len(content) - CHECKSUM:
                raise ValueError(f"no bytes for array '{name}'")
            arrays[name] = np.frombuffer(content[start:stop], type_).reshape(shape)
            start = stop
        if start != len(content) - CHECKSUM:
            raise ValueError("too many bytes")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"snapshot: damaged ({error})") from None
    carry: list[NDArray[Any]] = []
    while f"carry.{len(carry)}" in arrays:
        carry.append(arrays.pop(f"carry.{len(carry)}"))
    return State(tuple(carry), position, arrays, values)


def start_generator(seed: int | None) -> dict[str, Any]:
    """Return the state of a new random generator, as a value of a ``State``."""
    state: dict[str, Any] = np.random.PCG64(seed).state  # type: ignore[assignment]
    return state


def generator_of(stored: object) -> np.random.Generator:
    """Return the generator with a stored state. Raises ``DataError`` for a damaged one."""
    bits = np.random.PCG64(0)
    try:
        bits.state = stored  # type: ignore[assignment]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(f"snapshot: damaged (the random generator: {error})") from None
    return np.random.Generator(bits)
