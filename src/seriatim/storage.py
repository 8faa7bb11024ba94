"""Atomic files: a file is written completely or not at all. Everything that a run writes goes through here.

Arrays are stored as safetensors, everything else as JSON. Loading never runs code.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from seriatim.errors import RunError

PART = ".part"
"""The suffix of a file that is being written. A crash may leave one; it is never read."""


class TensorLike(Protocol):
    """A PyTorch tensor, as far as storage needs it; this file does not import PyTorch."""

    def detach(self) -> Any:
        """Return the tensor without its graph."""


Arrays = Mapping[str, "np.ndarray[Any, Any] | TensorLike"]


def write_bytes(path: Path, content: bytes, *, is_shared: bool = False) -> None:
    """Write a temporary file next to ``path`` and rename it: a crash leaves the old file or the new one, never a part.

    With ``is_shared`` several processes may write ``path`` at once: each has a temporary file of its own.
    Raises ``RunError`` if it cannot be written (a full disk, no permission). The old file is unchanged then.
    """
    owner = f".{uuid.uuid4().hex}" if is_shared else ""
    temporary = path.with_name(f".{path.name}{owner}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path}: cannot be written ({error.strerror}); nothing was changed") from None


def is_part(path: Path) -> bool:
    """Whether ``path`` is a temporary file that a crash left."""
    return path.name.startswith(".") and path.name.endswith(PART)


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as JSON, completely or not at all."""
    write_bytes(path, (json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, arrays: Arrays, note: Mapping[str, str] | None = None) -> None:
    """Write named arrays and an optional note as one safetensors file, completely or not at all."""
    plain = {name: _array(value) for name, value in arrays.items()}
    write_bytes(path, safetensors.numpy.save(plain, dict(note) if note else None))


def read_json(path: Path) -> Any:
    """Read a JSON file of a run. Raises ``RunError`` if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: not there; this is not a complete run folder") from None
    except (ValueError, OSError) as error:
        raise RunError(f"{path}: damaged ({error})") from None


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Read the arrays of a safetensors file. Raises ``RunError`` if it is missing or damaged."""
    return read_arrays_and_note(path)[0]


def read_arrays_and_note(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """Read the arrays of a safetensors file and the note stored with them."""
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"{path}: not there; this is not a complete run folder") from None
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged ({error})") from None


def _array(value: np.ndarray[Any, Any] | TensorLike) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = value if isinstance(value, np.ndarray) else value.detach().cpu().numpy()
    reshaped: np.ndarray[Any, Any] = np.ascontiguousarray(array).reshape(array.shape)  # the first lifts 0-d to 1-d
    return reshaped
