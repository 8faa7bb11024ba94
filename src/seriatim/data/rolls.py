"""Piano rolls: which of K notes sound at each step of a piece."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.files import InputStream, check_file, first_line, load_npy
from seriatim.errors import DataError, UsageError

Roll = NDArray[np.uint8]
"""[T, K] of 0 and 1."""

CELLS: Final[Mapping[str, str]] = {"train": "traindata", "valid": "validdata", "test": "testdata"}
"""Part → what a ``.mat`` file calls it."""


@dataclass(frozen=True)
class Rolls:
    """Pieces in the order of their file."""

    pieces: list[Roll]
    bounds: tuple[int, int] | None = None
    """Where the validation and the test begin, when the file says."""

    @property
    def notes(self) -> int:
        """K."""
        return int(self.pieces[0].shape[1])

    def parts(self) -> dict[str, list[Roll]] | None:
        """The parts that the file makes; ``None`` when it makes none."""
        if self.bounds is None:
            return None
        first, second = self.bounds
        return {"train": self.pieces[:first], "valid": self.pieces[first:second], "test": self.pieces[second:]}


def read_rolls(source: object, *, notes: int | None = None) -> Rolls:
    """Piano rolls from whatever holds them.

    - a ``.mat`` file with the cells ``traindata``, ``validdata`` and ``testdata`` (Boulanger-Lewandowski 2012), one
      array ``[T, K]`` of 0 and 1 per piece;
    - ``.npy`` files of one piece each: a path, a list of paths, or such a file that is open already;
    - in memory, a list of arrays ``[T, K]``.

    Raises ``DataError`` for a file that is missing or damaged, and for a piece that is empty, holds anything but 0 and
    1, or has other than ``notes`` notes (``None``: as many as the first); ``UsageError`` for anything else.
    """
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".mat":
        cells = {part: _cell(Path(source), _load_mat(Path(source)), name) for part, name in CELLS.items()}
        pieces = [piece for part in cells.values() for piece in part]
        first = len(cells["train"])
        return Rolls(_checked(pieces, notes), (first, first + len(cells["valid"])))
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
    """The pieces of one cell, with the place of each."""
    if name not in content:
        found = ", ".join(key for key in content if not key.startswith("__")) or "nothing"
        raise DataError(f"{path}: no '{name}' (holds {found}), wanted {', '.join(CELLS.values())}")
    cell = content[name]
    if not isinstance(cell, np.ndarray) or cell.dtype != object or not cell.size:
        raise DataError(f"{path}: '{name}' is no cell of pieces, wanted one array [T, notes] per piece")
    return [(f"{path} {name} {number}", piece) for number, piece in enumerate(cell.ravel(), 1)]


def _item(item: object, number: int) -> tuple[str, Any]:
    if not isinstance(item, (str, Path, InputStream)):
        return f"data piece {number}", item
    place = item.name if isinstance(item, InputStream) else str(item)
    if not isinstance(item, InputStream) and Path(item).suffix.lower() != ".npy":
        raise UsageError(f"{item}: a piano roll is a .mat or a .npy file")
    try:
        return place, load_npy(io.BytesIO(item.read()) if isinstance(item, InputStream) else check_file(item))
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None


def _checked(pieces: Sequence[tuple[str, Any]], notes: int | None) -> list[Roll]:
    found: list[Roll] = []
    for place, piece in pieces:
        try:
            values = np.asarray(piece, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{place}: not an array of numbers") from None
        if values.ndim != 2 or not values.size:
            raise DataError(f"{place}: shape {values.shape}, wanted [T, notes]")
        wanted = notes or (found[0].shape[1] if found else values.shape[1])
        if values.shape[1] != wanted:
            raise DataError(f"{place}: {values.shape[1]} notes, wanted {wanted}")
        wrong = np.argwhere((values != 0) & (values != 1))
        if len(wrong):
            step, note = wrong[0]
            raise DataError(f"{place}: step {step + 1}, note {note}: {values[step, note]:g}, wanted 0 or 1")
        found.append(values.astype(np.uint8))
    return found
