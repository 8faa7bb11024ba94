"""The file of weights of a runtime folder: safetensors, checked against the description before memory is taken.

A matrix of an int8 folder is stored as whole numbers, with one float32 scale per row under ``NAME.scale``.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import RunError

Array = NDArray[Any]
Floats = NDArray[np.float32]

LARGEST_HEADER: Final = 1 << 26
SCALE: Final = ".scale"

TYPES: Final[dict[str, Any]] = {
    "F64": np.float64, "F32": np.float32, "BF16": np.uint16, "I64": np.int64, "I32": np.int32, "I16": np.int16,
    "I8": np.int8, "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64, "BOOL": np.bool_,
}  # fmt: skip
"""The NumPy type of each type of safetensors. NumPy has no bfloat16: its bits are read as whole numbers."""
PRECISIONS: Final = {"I8": "int8", "BF16": "bf16"}
"""The engine's products with weights of a type."""


class WeightFile:
    """An opened file of weights. The sizes in its header were checked against the size of the file.

    ``take`` reads one array. Raises ``RunError`` for a damaged file, and for an array that is missing, has another
    shape, or holds NaN or an infinity.
    """

    def __init__(self, path: Path, *, keeps_type: bool = False) -> None:
        self.path = path
        self._keeps_type = keeps_type
        try:
            with path.open("rb") as file:
                size = path.stat().st_size
                if size < 8:
                    raise RunError(f"{path}: damaged ({size} bytes)")
                self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
        length = int.from_bytes(self._bytes[:8], "little")
        if length > min(size - 8, LARGEST_HEADER):
            raise RunError(f"{path}: damaged (a header of {length} bytes in a file of {size})")
        self._start = 8 + length
        self._entries = _entries(path, self._bytes[8 : self._start], size - self._start)
        self._unread = set(self._entries)

    def part(self, prefix: str) -> WeightFile:
        """Return the arrays whose names begin with ``prefix``, without it."""
        part = object.__new__(WeightFile)
        part.path, part._bytes, part._start = self.path, self._bytes, self._start
        part._keeps_type = self._keeps_type
        part._entries = {
            name.removeprefix(prefix): entry for name, entry in self._entries.items() if name.startswith(prefix)
        }
        part._unread = set(part._entries)
        self._unread -= {prefix + name for name in part._entries}
        return part

    @property
    def names(self) -> set[str]:
        """The names of all arrays."""
        return set(self._entries)

    def digest(self) -> str:
        """Return the SHA-256 of the whole file."""
        return hashlib.sha256(self._bytes).hexdigest()

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array, without reading it."""
        return self._entry(name)[1]

    def precision(self, name: str) -> str:
        """Return the precision of ``CellStepper`` for steps with this weight: that of its type, if types are kept."""
        return PRECISIONS.get(self._entry(name)[0], "full") if self._keeps_type else "full"

    def raw(self, name: str) -> Array:
        """Read an array in its own type."""
        code, shape, start, stop = self._entry(name)
        self._unread.discard(name)
        flat = np.frombuffer(self._bytes[self._start + start : self._start + stop], TYPES[code])
        if flat.dtype.kind == "f":
            self._check_finite(name, flat)
        return flat.reshape(shape)

    def take(self, name: str, *shape: int) -> Floats:
        """Read an array of numbers as float32, with the given shape."""
        code, stored, _, _ = self._entry(name)
        if stored != shape:
            raise RunError(f"{self.path}: '{name}' is {list(stored)}, wanted {list(shape)}")
        if code == "F32":
            values: Floats = self.raw(name)
            return values
        if code == "BF16":
            bits = self.raw(name).astype(np.uint32) << 16
            widened: Floats = bits.view(np.float32)
            self._check_finite(name, widened)
            return widened
        if code == "I8" and len(shape) > 1:
            scales = self.take(name + SCALE, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
            scaled: Floats = np.multiply(self.raw(name), scales, dtype=np.float32)
            return scaled
        raise RunError(f"{self.path}: '{name}' is {code}, wanted F32, BF16 or I8")

    def row(self, name: str, index: int, width: int) -> Floats:
        """Read one row of a matrix of ``width`` columns."""
        shape = self.shape(name)
        if len(shape) != 2 or shape[1] != width or index >= shape[0]:
            raise RunError(f"{self.path}: '{name}' is {list(shape)}, wanted more than {index} rows of {width}")
        values: Floats = self.take(name, *shape)[index].copy()
        return values

    def done(self) -> None:
        """Refuse an array that nobody read."""
        if self._unread:
            raise RunError(f"{self.path}: unknown array '{min(self._unread)}'")

    def _check_finite(self, name: str, values: Array) -> None:
        if not np.isfinite(values).all():
            raise RunError(f"{self.path}: '{name}' holds a number that is not finite")

    def _entry(self, name: str) -> tuple[str, tuple[int, ...], int, int]:
        if name not in self._entries:
            raise RunError(f"{self.path}: no array '{name}'")
        return self._entries[name]


def _entries(path: Path, header: bytes, size: int) -> dict[str, tuple[str, tuple[int, ...], int, int]]:
    """Check the header: each array has exactly the bytes that its shape needs, and together they fill the file."""
    try:
        content = json.loads(header.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: damaged ({error})") from None
    if not isinstance(content, dict):
        raise RunError(f"{path}: damaged (the header is no object)")
    content.pop("__metadata__", None)
    entries = {}
    for name, entry in content.items():
        is_entry = isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}
        if not is_entry or entry["dtype"] not in list(TYPES):
            raise RunError(f"{path}: damaged (array '{name}')")
        shape, offsets = entry["shape"], entry["data_offsets"]
        if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2 or len(shape) > 4:
            raise RunError(f"{path}: damaged (array '{name}')")
        start, stop = offsets
        if math.prod(shape) * np.dtype(TYPES[entry["dtype"]]).itemsize != stop - start:
            raise RunError(f"{path}: damaged ('{name}' of {shape} in {stop - start} bytes)")
        entries[name] = (entry["dtype"], tuple(shape), start, stop)
    place = 0
    for name, (_, _, start, stop) in sorted(entries.items(), key=lambda item: (item[1][2], item[1][3])):
        if start != place:
            raise RunError(f"{path}: damaged ('{name}' begins at {start}, wanted {place})")
        place = stop
    if place != size:
        raise RunError(f"{path}: damaged ({size} bytes of arrays, wanted {place})")
    return entries


def _are_sizes(values: object) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)
