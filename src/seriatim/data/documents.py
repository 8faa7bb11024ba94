"""Reads and joins the texts for a language model."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from seriatim.data.files import check_unicode, read_text, unify_line_ends
from seriatim.errors import DataError, UsageError

WANTED = "wanted the path of a text file, a list of paths, or texts in a list, an array or a column"


def read_documents(source: object) -> list[str]:
    """Read texts from files or from memory.

    A string or ``Path`` is the path of one UTF-8 file. A list of ``Path``, or of strings that name existing files, is a
    list of files. Any other list of strings holds the texts themselves, and so do a NumPy array of strings, a Polars or
    pandas series, and a frame with one column.

    Raises ``DataError`` for a file that cannot be read, an empty list or an empty text,
    ``UsageError`` for any other source.
    """
    if isinstance(source, (str, Path)):
        if isinstance(source, str) and ("\n" in source or len(source) > 4096):
            raise UsageError(f"data: a string is the path of a file, got '{source[:30]}…'; put a text in a list")
        return [read_text(source)]
    texts = _texts(source)
    if not texts:
        raise DataError("data: no texts")
    files = [isinstance(text, Path) or os.path.isfile(cast("str", text)) for text in texts]
    if all(files) or any(isinstance(text, Path) for text in texts) or _look_like_files(cast("list[str]", texts), files):
        return [read_text(cast("str | Path", text)) for text in texts]
    for number, text in enumerate(texts, 1):
        if not cast("str", text).strip():
            raise DataError(f"data: text {number} is empty")
        check_unicode(text, f"data: text {number}")
    return [unify_line_ends(cast("str", text)) for text in texts]


@dataclass(frozen=True)
class Documents:
    """Concatenated texts and the start of each document."""

    text: str
    starts: tuple[int, ...] = (0,)
    """Ascending character offsets; the first is 0."""

    def part(self, start: int, stop: int) -> Documents:
        """Return the characters from ``start`` to ``stop`` as documents."""
        return Documents(
            self.text[start:stop], (0, *(offset - start for offset in self.starts if start < offset < stop))
        )

    def split_texts(self) -> Iterator[str]:
        """Yield each document."""
        for start, stop in zip(self.starts, (*self.starts[1:], len(self.text)), strict=True):
            yield self.text[start:stop]


def join(texts: Sequence[str], boundary: str = "file") -> Documents:
    """Concatenate texts; each ends with a line end if there are several.

    A document is a whole text (``file``), the text between blank lines (``paragraph``), or a ``line``.
    """
    ended = [text.removesuffix("\n") + "\n" for text in texts] if len(texts) > 1 else list(texts)
    whole = "".join(ended)
    starts = {0} | {offset for offset in BOUNDARIES[boundary](ended) if offset < len(whole)}
    return Documents(whole, tuple(sorted(starts)))


def _after_texts(texts: Sequence[str]) -> Iterator[int]:
    end = 0
    for text in texts:
        end += len(text)
        yield end


BOUNDARIES: dict[str, Callable[[Sequence[str]], Iterator[int]]] = {
    "file": _after_texts,
    "paragraph": lambda texts: (match.end() for match in re.finditer(r"\n[^\S\n]*\n\s*", "".join(texts))),
    "line": lambda texts: (match.end() for match in re.finditer(r"\n", "".join(texts))),
}
"""Functions that yield where documents start, as offsets into the concatenated texts."""


def _texts(source: object) -> list[object]:
    items: Sequence[Any]
    if isinstance(source, (list, tuple)):
        items = source
    elif isinstance(source, np.ndarray) and source.ndim == 1:
        items = source.tolist()
    elif hasattr(source, "columns") and hasattr(source, "shape"):  # a frame
        names = list(source.columns)
        if len(names) != 1:
            raise UsageError(f"data: a frame with {len(names)} columns, wanted one column of texts")
        items = list(source[names[0]])  # type: ignore[index]
    elif hasattr(source, "to_list"):  # a series
        items = source.to_list()
    else:
        raise UsageError(f"data: got {type(source).__name__}, {WANTED}")
    for number, item in enumerate(items, 1):
        if not isinstance(item, (str, Path)):
            raise UsageError(f"data: item {number} is {type(item).__name__}, {WANTED}")
    return list(items)


def _look_like_files(texts: list[str], files: list[bool]) -> bool:
    """Whether some texts are files or all look like file names. A missing file is then an error, not a text."""
    return any(files) or all(re.fullmatch(r"\S+\.(txt|text|md)", text) for text in texts)
