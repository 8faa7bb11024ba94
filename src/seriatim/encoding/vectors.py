"""Reads and writes word vectors as text: a word and its numbers per line (GloVe; word2vec has a first line ``N D``).

This file knows the format only. ``models/word_vectors.py`` is the CBOW network that trains vectors, and
``tasks/common/word_vectors.py`` uses both to make the initial embeddings of a model.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Collection, Generator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError

Vector = NDArray[np.float32]

GZIP = b"\x1f\x8b"
BOM = b"\xef\xbb\xbf"
FLOAT32 = float(np.finfo(np.float32).max)


def vectors_width(path: str | Path) -> int:
    """Return the number of numbers per word. Raises ``DataError`` if the file holds no vectors."""
    with closing(_lines(path)) as lines:
        return _Layout.of(str(path), next(lines)).width


def read_vectors(path: str | Path, words: Collection[str]) -> dict[str, Vector]:
    """Read the vectors ``[D]`` of all ``words`` in the file, line by line; ``.gz`` files are unpacked.

    If a word occurs twice, the first vector counts. Raises ``DataError`` with the line for a file that is missing,
    empty, binary or truncated, a line with another number of numbers, or a vector that is not finite.
    """
    encoded = {word.encode(): word for word in words}
    vectors: dict[str, Vector] = {}
    count = 0
    with closing(_lines(path)) as lines:
        first = next(lines)
        layout = _Layout.of(str(path), first)
        rows = lines if layout.has_header else chain([first], lines)
        for number, line in enumerate(rows, 2 if layout.has_header else 1):
            if not line:
                continue
            count += 1
            raw, _, rest = line.partition(b" ")
            if rest.count(b" ") + 1 != layout.width or not rest:
                raw, rest = layout.with_spaces(number, line)
            word = encoded.get(raw)
            if word is not None and word not in vectors:
                vectors[word] = layout.numbers(number, rest)
    if layout.has_header and count != layout.count:
        raise DataError(f"{path}: {count} vectors, but its first line says {layout.count}: cut short?")
    return vectors


def format_vectors(vectors: Mapping[str, Vector]) -> str:
    """Format vectors ``[D]`` by word as word2vec text; reading it gives the same float32 numbers.

    Raises ``ValueError`` for no vectors, different widths, or a word that is empty or contains white space.
    """
    widths = {len(vector) for vector in vectors.values()}
    if len(widths) != 1:
        raise ValueError(f"vectors: widths {sorted(widths)}, wanted one")
    for word in vectors:
        if [word] != word.split():
            raise ValueError(f"vectors: {word!r} is not a word without white space")
    lines = (f"{word} {' '.join(f'{number:.9g}' for number in vector.tolist())}\n" for word, vector in vectors.items())
    return f"{len(vectors)} {widths.pop()}\n{''.join(lines)}"


class _Layout:
    """Layout of a file, from its first line."""

    def __init__(self, name: str, width: int, count: int | None) -> None:
        self.name, self.width, self.count = name, width, count
        self.has_header = count is not None

    @classmethod
    def of(cls, name: str, first: bytes) -> _Layout:
        fields = first.split(b" ")
        if len(fields) == 2 and all(field.isdigit() for field in fields):
            count, width = map(int, fields)
            if not width:
                raise DataError(f"{name} line 1: vectors of 0 numbers")
            return cls(name, width, count)
        if len(fields) < 2 or not all(map(_is_number, fields[1:])):
            raise DataError(
                f"{name} line 1: got '{_excerpt(first)}', wanted a word and its numbers (or how many words and numbers)"
            )
        return cls(name, len(fields) - 1, None)

    def with_spaces(self, number: int, line: bytes) -> tuple[bytes, bytes]:
        """Split a line whose word contains spaces, as a few words of GloVe do."""
        fields = line.split(b" ")
        word_fields = len(fields) - self.width
        if word_fields < 2 or all(map(_is_number, fields[1:])):
            raise DataError(f"{self.name} line {number}: {len(fields) - 1} numbers, wanted {self.width}")
        return b" ".join(fields[:word_fields]), b" ".join(fields[word_fields:])

    def numbers(self, number: int, rest: bytes) -> Vector:
        fields = rest.split(b" ")
        for field in fields:
            if not _is_number(field):
                raise DataError(f"{self.name} line {number}: '{_excerpt(field)}' is not a finite number")
        return np.array([float(field) for field in fields], np.float32)


def _is_number(field: bytes) -> bool:
    try:
        return abs(float(field)) <= FLOAT32  # false for NaN
    except ValueError:
        return False


def _lines(path: str | Path) -> Generator[bytes, None, None]:
    """Yield lines without white space at their ends; at least one."""
    try:
        with open(path, "rb") as plain:
            is_gzip = plain.read(2) == GZIP
            plain.seek(0)
            file = cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if is_gzip else plain
            number = 0
            for number, line in enumerate(file, 1):
                if b"\0" in line:
                    raise DataError(f"{path} line {number}: holds binary data, wanted vectors as text")
                yield (line.removeprefix(BOM) if number == 1 else line).rstrip()
            if not number:
                raise DataError(f"{path}: is empty")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a gzip file that can be read: {error}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _excerpt(raw: bytes) -> str:
    text = raw[:30].decode(errors="replace")
    return text if len(raw) <= 30 else f"{text}…"
