"""Reads whole text files, reports errors with byte and line, and hashes data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seriatim.data.compression import is_compressed, unpack
from seriatim.errors import DataError

BOM = b"\xef\xbb\xbf"


def check_file(path: str | Path) -> Path:
    """Return ``path`` if it is a file that is not empty. Raises ``DataError`` otherwise."""
    file = Path(path)
    try:
        if file.is_dir():
            raise DataError(f"{path}: is a directory, wanted a file")
        if not file.exists():
            raise DataError(f"{path}: no such file")
        if file.is_file() and file.stat().st_size == 0:
            raise DataError(f"{path}: is empty")
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r}: {_reason(error)}") from None
    return file


@dataclass(frozen=True)
class InputStream:
    """An open binary file, such as standard input, and its format."""

    file: BinaryIO
    format: str
    """``csv``, ``tsv``, ``jsonl``, ``parquet`` or ``txt``."""
    name: str = "standard input"

    def read(self) -> bytes:
        """Read the remaining bytes; compressed ones are unpacked."""
        return unpack(self.file.read(), self.name)

    def text(self) -> str:
        """Read the remaining bytes as UTF-8 text. Raises ``DataError`` for an invalid byte or an empty text."""
        text = decode(self.read().removeprefix(BOM), self.name)
        text = unify_line_ends(text)
        if not text.strip():
            raise DataError(f"{self.name}: is empty")
        return text


def read_bytes(path: str | Path) -> bytes:
    """Read a whole file; one that ends in ``.gz`` or ``.zst`` is unpacked. Raises ``DataError`` as ``read_text``."""
    try:
        raw = check_file(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {_reason(error)}") from None
    return unpack(raw, str(path), check=True) if is_compressed(path) else raw


def read_text(path: str | Path) -> str:
    """Read a UTF-8 text file: without byte-order mark, with ``\\n`` for every line end; compressed files are unpacked.

    Raises ``DataError`` for a file that is missing, a directory, empty, not readable, not UTF-8, or damaged.
    """
    raw = read_bytes(path)
    text = decode(raw.removeprefix(BOM), str(path), offset=len(BOM) if raw.startswith(BOM) else 0)
    if not text.strip():
        raise DataError(f"{path}: holds nothing but white space")
    return unify_line_ends(text)


def unify_line_ends(text: str) -> str:
    """Replace ``\\r\\n`` by ``\\n``; in a text without ``\\n`` also ``\\r``, the old line end of the Mac."""
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")


def split_lines(text: str) -> list[str]:
    """Split a text at its line ends only; ``str.splitlines`` would also split at U+2028, form feeds and others."""
    return unify_line_ends(text).removesuffix("\n").split("\n")


def check_unicode(content: object, where: str) -> None:
    """Raise ``DataError`` if a string in ``content`` holds half a surrogate pair, which no file can hold as UTF-8."""
    fault = surrogate_fault(content)
    if fault:
        raise DataError(f"{where}: {fault}")


def surrogate_fault(content: object) -> str:
    """Describe the first half of a surrogate pair in the strings of ``content``; return an empty text without one."""
    if isinstance(content, str):
        try:
            content.encode()
        except UnicodeEncodeError as error:
            return f"\\u{ord(content[error.start]):04x} is half of a character (a lone surrogate)"
    elif isinstance(content, Mapping):
        return surrogate_fault(list(content.items()))
    elif isinstance(content, (list, tuple)):
        return next(filter(None, map(surrogate_fault, content)), "")
    return ""


def load_npy(file: Any) -> NDArray[Any]:
    """Load a ``.npy`` file from a path or an open file. Raises ``ValueError`` with the reason if that fails."""
    try:
        array: NDArray[Any] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = first_line(error)
        # NumPy takes an unknown format for a pickle and suggests an unsafe way to load it: do not repeat that.
        reason = "" if "pickle" in why else f": {why}"
        raise ValueError(f"not a .npy file of numbers that can be read{reason}") from None
    return array


def first_line(error: Exception) -> str:
    """First line of an error's message, or its class if it has no message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def decode(raw: bytes, name: str, *, offset: int = 0, line: int = 1) -> str:
    """Decode UTF-8 that starts ``offset`` bytes into ``name``, on line ``line``.

    Raises ``DataError`` that names the first wrong byte, its offset and its line.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        at = error.start
        line += raw.count(b"\n", 0, at)
        raise DataError(f"{name}: not UTF-8: byte 0x{raw[at]:02x} at offset {offset + at} (line {line})") from None


def content_hash(*contents: object) -> str:
    """Return ``sha256:`` and the hexadecimal hash of the content of data, whatever file or frame holds it.

    Accepts strings, bytes, numbers, ``None``, NumPy arrays, Polars or pandas frames and series, and lists, tuples and
    mappings that contain them. Type and length are hashed too, so ``("ab", "c")`` and ``("a", "bc")`` differ.
    Raises ``TypeError`` for anything else.
    """
    digest = hashlib.sha256()
    _add(digest, contents)
    return f"sha256:{digest.hexdigest()}"


def _add(digest: Any, content: object) -> None:
    if isinstance(content, np.generic):
        content = content.item()
    if content is None or isinstance(content, (bool, int, float, date)):
        digest.update(f"{type(content).__name__} {content!r};".encode())
    elif isinstance(content, (str, bytes, bytearray)):
        raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
        digest.update(f"{type(content).__name__} {len(raw)};".encode())
        digest.update(raw)
    elif isinstance(content, np.ndarray) and content.dtype != object:
        digest.update(f"array {content.dtype.str} {content.shape};".encode())
        raw_array = np.ascontiguousarray(content)
        digest.update(raw_array.reshape(-1).view(np.uint8).data)
    elif isinstance(content, Mapping):
        _add(digest, [part for item in content.items() for part in item])
    elif isinstance(content, (list, tuple, np.ndarray)):
        digest.update(f"list {len(content)};".encode())
        for part in content:
            _add(digest, part)
    elif hasattr(content, "columns") and hasattr(content, "shape"):  # a frame
        names = list(content.columns)
        _add(digest, [(str(name), content[name]) for name in names])  # type: ignore[index]
    elif hasattr(content, "to_numpy"):  # a series
        _add(digest, content.to_numpy())
    else:
        raise TypeError(f"cannot hash {type(content).__name__}")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).lower()
