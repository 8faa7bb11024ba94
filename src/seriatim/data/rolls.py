"""Reads piano rolls: for each step of a piece, the notes that sound, out of K."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.arrays import to_float64
from seriatim.data.files import InputStream, check_file, first_line, load_npy
from seriatim.errors import DataError, UsageError

Roll = NDArray[np.uint8]
"""[T, K] of 0 and 1."""

VARIABLES: Final[Mapping[str, str]] = {"train": "traindata", "valid": "validdata", "test": "testdata"}
"""Names of the parts in a ``.mat`` file."""


@dataclass(frozen=True)
class Rolls:
    """Pieces in the order of their file."""

    pieces: list[Roll]
    bounds: tuple[int, int] | None = None
    """Indices at which the validation and test parts begin, if the file defines them."""

    @property
    def notes(self) -> int:
        """Number of notes, K."""
        return int(self.pieces[0].shape[1])

    def parts(self) -> dict[str, list[Roll]] | None:
        """Return the parts that the file defines, or ``None``."""
        if self.bounds is None:
            return None
        first, second = self.bounds
        return {"train": self.pieces[:first], "valid": self.pieces[first:second], "test": self.pieces[second:]}


def read_rolls(source: object, *, notes: int | None = None) -> Rolls:
    """Read piano rolls. ``source`` is one of these:

    - a ``.mat`` file with the cells ``traindata``, ``validdata`` and ``testdata`` (Boulanger-Lewandowski 2012), one
      array ``[T, K]`` of 0 and 1 per piece;
    - ``.npy`` files with one piece each: a path, a list of paths, or an open file;
    - in memory, a list of arrays ``[T, K]``.

    Raises ``DataError`` for a file that is missing or damaged, and for a piece that is empty, holds other values than
    0 and 1, or does not have ``notes`` notes (``None``: as many as the first piece). Raises ``UsageError`` for
    any other source.
    """
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".mat":
        parts = {part: _cell(Path(source), _load_mat(Path(source)), name) for part, name in VARIABLES.items()}
        pieces = [piece for part in parts.values() for piece in part]
        first = len(parts["train"])
        return Rolls(_checked(pieces, notes), (first, first + len(parts["valid"])))
    items = [source] if isinstance(source, (str, Path, InputStream)) else source
    if not isinstance(items, (list, tuple)):
        raise UsageError(
            f"data: got {type(source).__name__}, wanted a .mat or .npy file, or a list of arrays [T, notes]"
        )
    if not items:
        raise DataError("data: no pieces")
    return Rolls(_checked([_item(item, number) for number, item in enumerate(items, 1)], notes))


def _load_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat  # slow to import

    check_file(path)
    try:
        content: dict[str, Any] = loadmat(path)
    except (ValueError, TypeError, NotImplementedError, OSError, EOFError, KeyError) as error:
        raise DataError(f"{path}: not a MATLAB file that can be read ({first_line(error)})") from None
    return content


def _cell(path: Path, content: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    """Return the pieces of one MATLAB cell, each with its location."""
    if name not in content:
        names = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
        raise DataError(f"{path}: no '{name}' (holds {names}), wanted {', '.join(VARIABLES.values())}")
    cell = content[name]
    if not isinstance(cell, np.ndarray) or cell.dtype != object or not cell.size:
        raise DataError(f"{path}: '{name}' is no cell of pieces, wanted one array [T, notes] per piece")
    return [(f"{path} {name} {number}", piece) for number, piece in enumerate(cell.ravel(), 1)]


def _item(item: object, number: int) -> tuple[str, Any]:
    if not isinstance(item, (str, Path, InputStream)):
        return f"data piece {number}", item
    location = item.name if isinstance(item, InputStream) else str(item)
    if not isinstance(item, InputStream) and Path(item).suffix.lower() != ".npy":
        raise UsageError(f"{item}: a piano roll is a .mat or a .npy file")
    try:
        return location, load_npy(io.BytesIO(item.read()) if isinstance(item, InputStream) else check_file(item))
    except ValueError as error:
        raise DataError(f"{location}: {error}") from None


def _checked(pieces: Sequence[tuple[str, Any]], notes: int | None) -> list[Roll]:
    rolls: list[Roll] = []
    for location, piece in pieces:
        try:
            values = to_float64(piece)
        except (TypeError, ValueError):
            raise DataError(f"{location}: not an array of numbers") from None
        if values.ndim != 2 or not values.size:
            raise DataError(f"{location}: shape {values.shape}, wanted [T, notes]")
        width = notes or (rolls[0].shape[1] if rolls else values.shape[1])
        if values.shape[1] != width:
            raise DataError(f"{location}: {values.shape[1]} notes, wanted {width}")
        wrong = np.argwhere((values != 0) & (values != 1))
        if len(wrong):
            step, note = wrong[0]
            raise DataError(f"{location}: step {step + 1}, note {note}: {values[step, note]:g}, wanted 0 or 1")
        rolls.append(values.astype(np.uint8))
    return rolls
