"""Writes predictions in the format that the name of their file says."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from seriatim.data.compression import format_suffix
from seriatim.errors import DataError, UsageError
from seriatim.storage import write_bytes

Row = dict[str, Any]

JSON_LINES: Final = ("", ".jsonl", ".ndjson")
FLAT: Final = (".csv", ".tsv", ".parquet")
"""Formats with one row for each step or word, and without nested values."""


def check_output(file: str | Path, data: object = None) -> Path:
    """Return the path of a file for predictions. Raises ``UsageError`` for an unknown format or for the input file."""
    path = Path(file)
    suffix = format_suffix(path)
    if suffix not in (*JSON_LINES, *FLAT) or path.suffix.lower() == ".zst":
        known = ", ".join((*FLAT, *JSON_LINES[1:]))
        raise UsageError(f"output: {path}: cannot write this format, wanted one of {known} (all but .parquet also .gz)")
    if isinstance(data, (str, Path)) and path.exists() and Path(data).exists() and path.samefile(data):
        raise UsageError(f"output: {path} is the input file; predictions would replace it")
    return path


def write_rows(
    rows: Iterable[Row], flatten: Callable[[Row], Iterator[Row]], file: str | Path, *, is_shared: bool = False
) -> None:
    """Write rows of ``predict`` as CSV, TSV, Parquet or JSON lines, by the file's extension; ``.gz`` compresses.

    The file is complete or not written at all. With ``is_shared`` several processes may write it at once.
    Raises ``UsageError`` for an unknown extension.
    """
    path = check_output(file)
    suffix = format_suffix(path)
    if suffix in FLAT:
        table = itertools.chain.from_iterable(map(flatten, rows))
        content = {".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}[suffix](table)
    else:
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    packed = gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content
    write_bytes(path, packed, is_shared=is_shared)


def _csv(rows: Iterable[Row]) -> bytes:
    text = io.StringIO(newline="")
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row))
            writer.writeheader()
        writer.writerow(row)
    return text.getvalue().encode()


def _tsv(rows: Iterable[Row]) -> bytes:
    lines: list[str] = []
    for row in rows:
        if not lines:
            lines.append("\t".join(map(_cell, row)))
        lines.append("\t".join(map(_cell, row.values())))
    return "".join(f"{line}\n" for line in lines).encode()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    if any(mark in text for mark in "\t\n\r"):
        raise DataError(f"output: {text[:40]!r} has a tab or a line end, which TSV cannot hold; write .csv or .jsonl")
    return text


def _parquet(rows: Iterable[Row]) -> bytes:
    import polars

    buffer = io.BytesIO()
    polars.DataFrame(list(rows), infer_schema_length=None).write_parquet(buffer)
    return buffer.getvalue()
