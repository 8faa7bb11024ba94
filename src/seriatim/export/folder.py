"""Writes the files of a runtime folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from seriatim.export.rounding import rounded
from seriatim.runtime.loading import DESCRIPTION, FORMAT, WEIGHTS
from seriatim.storage import write_bytes, write_json
from seriatim.version import __version__

Array = np.ndarray[Any, Any]

NAMES: Final = {
    "float64": "F64", "float32": "F32", "bfloat16": "BF16", "int64": "I64", "int32": "I32", "int16": "I16",
    "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""The names of types in safetensors."""


def write_folder(
    folder: Path, description: Mapping[str, Any], arrays: Mapping[str, Array], dtype: str, exact: Collection[str] = ()
) -> None:
    """Write ``model.json`` and the weights into a folder. All weights but ``exact`` ones are rounded to ``dtype``."""
    stored: dict[str, tuple[str, Array]] = {}
    for name, values in arrays.items():
        stored |= rounded(name, values, "float32" if name in exact else dtype)
    weights = safetensors_bytes(stored)
    write_bytes(folder / WEIGHTS, weights)
    head = {"format": FORMAT, "seriatim": __version__, "dtype": dtype, "weights": hashlib.sha256(weights).hexdigest()}
    write_json(folder / DESCRIPTION, head | dict(description))


def safetensors_bytes(arrays: Mapping[str, tuple[str, Array]]) -> bytes:
    """Return a safetensors file. (The library's own function for NumPy arrays has no bfloat16.)"""
    ordered = sorted(arrays.items(), key=lambda item: (-item[1][1].itemsize, item[0]))  # so that each is aligned
    header: dict[str, Any] = {}
    place = 0
    for name, (type_, values) in ordered:
        size = math.prod(values.shape) * values.itemsize
        header[name] = {"dtype": NAMES[type_], "shape": list(values.shape), "data_offsets": [place, place + size]}
        place += size
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    parts = (np.ascontiguousarray(values).tobytes() for _, (_, values) in ordered)
    return b"".join([len(encoded).to_bytes(8, "little"), encoded, *parts])
