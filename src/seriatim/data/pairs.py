"""Reads pairs of texts: the source that the model reads and the target that it writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from seriatim.data.collection import Collection
from seriatim.data.compression import format_suffix
from seriatim.data.files import check_unicode, read_text
from seriatim.data.tables import FORMATS, open_table
from seriatim.errors import DataError, UsageError

SOURCE, TARGET = "source", "target"
"""Default column names."""


@dataclass(frozen=True)
class Pairs(Collection):
    """Pairs in the order of their file."""

    plural: ClassVar[str] = "pairs"
    compared: ClassVar[str] = "sources"

    sources: list[str]
    targets: list[str]
    """Empty if the model is to write them."""
    groups: list[str] | None
    locations: list[str]
    """Location of each pair, for messages: ``train.de line 3``."""

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def keys(self) -> list[str]:
        return self.sources

    @property
    def content(self) -> object:
        return self.sources, self.targets

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Pairs:
        return Pairs(
            [self.sources[index] for index in indices],
            [self.targets[index] for index in indices],
            None if self.groups is None else [self.groups[index] for index in indices],
            [self.locations[index] for index in indices],
        )


def read_pairs(
    data: object,
    *,
    source: str | None = None,
    target: str | None = None,
    group: str | None = None,
    header: bool = True,
) -> Pairs:
    """Read pairs. ``data`` is one of these:

    - two parallel files, line by line: ``[SOURCE_FILE, TARGET_FILE]``, or one string with a comma between the two
      names; compressed files are unpacked;
    - a table (see ``open_table``) with the columns ``source`` and ``target`` (also their default names);
    - in memory, a list of pairs or an array with two columns.

    Raises ``UsageError`` for a column that does not exist, ``DataError`` for an empty text (with its location) and for
    parallel files of different lengths.
    """
    files = parallel_files(data)
    if files is not None:
        if group:
            raise UsageError("group: only for tables")
        return _parallel(*files)
    by_number = not header or _has_numbered_columns(data)
    names = [source or ("1" if by_number else SOURCE), target or ("2" if by_number else TARGET)]
    table = open_table(data, header=header, columns=[*names, *([group] if group else [])])
    locations = [table.location(row) for row in range(len(table))]
    sources, targets = (table.text(column) for column in names)
    for texts, column in zip((sources, targets), names, strict=True):
        for row, text in enumerate(texts):
            if not text.strip():
                raise table.fault(row, column, "empty text")
    return Pairs(sources, targets, table.labels(group) if group else None, locations)


def read_sources(data: object, *, source: str | None = None, header: bool = True) -> Pairs:
    """Read sources only: from a table, from a file with one source per line, or from a list of texts."""
    if isinstance(data, (str, Path)) and format_suffix(data) not in FORMATS:
        lines = _lines(data)
        return Pairs(lines, [], None, [f"{data} line {number + 1}" for number in range(len(lines))])
    if isinstance(data, (list, tuple)) and data and all(isinstance(item, str) for item in data):
        for number, text in enumerate(data):
            if not text.strip():
                raise DataError(f"data item {number + 1}: empty text")
            check_unicode(text, f"data item {number + 1}")
        return Pairs(list(data), [], None, [f"data item {number + 1}" for number in range(len(data))])
    column = source or ("1" if not header or _has_numbered_columns(data) else SOURCE)
    table = open_table(data, header=header, columns=[column])
    texts = table.text(column)
    for row, text in enumerate(texts):
        if not text.strip():
            raise table.fault(row, column, "empty text")
    return Pairs(texts, [], None, [table.location(row) for row in range(len(table))])


def parallel_files(data: object) -> tuple[str, str] | None:
    """Return the two files that ``data`` names, or None if it does not name files."""
    if isinstance(data, (str, Path)) and "," in str(data) and not Path(data).exists():
        data = str(data).split(",")
    if isinstance(data, (list, tuple)) and data and all(isinstance(item, (str, Path)) for item in data):
        if len(data) != 2:
            raise UsageError(f"data: {len(data)} files, wanted a table or two files, the source's and the target's")
        return str(data[0]), str(data[1])
    return None


def _parallel(source_file: str, target_file: str) -> Pairs:
    sources, targets = _lines(source_file), _lines(target_file)
    if len(sources) != len(targets):
        raise DataError(
            f"{target_file}: {len(targets):,} lines, wanted {len(sources):,} as in {source_file}: line N of one "
            "belongs to line N of the other"
        )
    return Pairs(sources, targets, None, [f"{source_file} line {number + 1}" for number in range(len(sources))])


def _lines(file: str | Path) -> list[str]:
    """Return the lines of a text file. Raises ``DataError`` for an empty line."""
    lines = read_text(file).removesuffix("\n").split("\n")
    for number, line in enumerate(lines):
        if not line.strip():
            raise DataError(f"{file}: line {number + 1} is empty")
    return lines


def _has_numbered_columns(data: Any) -> bool:
    """Whether data in memory have numbered columns: arrays and lists of rows do."""
    if isinstance(data, (list, tuple)) and data:
        return not hasattr(data[0], "keys")
    return isinstance(data, np.ndarray)
