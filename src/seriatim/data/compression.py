"""Unpacks files that are compressed with gzip or Zstandard."""

from __future__ import annotations

import gzip
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from seriatim.errors import DataError, UsageError

SUFFIXES: Final = (".gz", ".zst")
"""Extensions of compressed files; the extension of the format is before them."""
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def format_suffix(path: str | Path) -> str:
    """Return the extension of a file's format: ``.csv`` for ``a.csv`` and ``a.csv.gz``."""
    file = Path(path)
    if file.suffix.lower() in SUFFIXES:
        file = file.with_suffix("")
    return file.suffix.lower()


def is_compressed(path: str | Path) -> bool:
    """Whether the file's name ends in ``.gz`` or ``.zst``."""
    return Path(path).suffix.lower() in SUFFIXES


def unpack(raw: bytes, name: str, *, check: bool = False) -> bytes:
    """Unpack gzip or Zstandard, recognized by the first bytes; other bytes are returned unchanged.

    With ``check``, other bytes are an error. Raises ``DataError`` for damaged data, and ``UsageError`` for Zstandard
    without a library for it.
    """
    if raw.startswith(GZIP) or (check and name.lower().endswith(".gz")):
        try:
            return gzip.decompress(raw)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise DataError(f"{name}: not a gzip file that can be read: {error}") from None
    if raw.startswith(ZSTD):
        return _unpack_zstd(raw, name)
    if check:
        raise DataError(f"{name}: not a Zstandard file that can be read")
    return raw


def _unpack_zstd(raw: bytes, name: str) -> bytes:
    for module, read in (("compression.zstd", _all_frames), ("zstandard", _with_zstandard), ("pyarrow", _with_pyarrow)):
        try:
            library = import_module(module)
        except ImportError:
            continue
        try:
            return read(library, raw)
        except Exception as error:  # each library has its own errors; all mean damaged data
            raise DataError(f"{name}: not a Zstandard file that can be read: {error}") from None
    raise UsageError(f"{name}: Zstandard needs Python 3.14 or one of the packages zstandard and pyarrow")


def _all_frames(library: Any, raw: bytes) -> bytes:
    result: bytes = library.decompress(raw)
    return result


def _with_zstandard(library: Any, raw: bytes) -> bytes:
    result: bytes = library.ZstdDecompressor().decompressobj().decompress(raw)
    return result


def _with_pyarrow(library: Any, raw: bytes) -> bytes:
    with library.CompressedInputStream(library.BufferReader(raw), "zstd") as stream:
        result: bytes = stream.read()
    return result
