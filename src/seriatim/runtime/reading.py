"""Reads files of rows for ``predict`` with Python's own library: CSV, TSV, JSON lines, CoNLL-U and plain text."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from seriatim.errors import DataError, UsageError, nearest
from seriatim.runtime.model import Model

FORMATS: Final = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl", "conllu": "conllu", "txt": "txt"}
DEFAULTS: Final = {"language": "txt", "tag": "txt"}
"""The format of standard input by task, if it is not csv."""

Table = list[dict[str, Any]]


def read_rows(model: Model, source: str | Path | BinaryIO, format: str | None = None) -> list[Any]:
    """Read the rows that ``model.predict`` takes. The columns are those of the training.

    ``source`` is a path, whose extension decides the format, or a binary file such as standard input. Raises
    ``DataError`` for a file that cannot be read or has other values, ``UsageError`` for an unknown format.
    """
    if isinstance(source, (str, Path)):
        name, path = str(source), Path(source)
        if path.is_dir():
            raise DataError(f"{name}: a folder, wanted a file")
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise DataError(f"{name}: {error.strerror}") from None
        extension = path.suffix.lower().removeprefix(".")
        if extension not in FORMATS and not (model.task == "language" and path.suffix.lower() != ".npy"):
            raise UsageError(f"{name}: a runtime folder reads {', '.join(FORMATS)}{nearest(extension, FORMATS)}")
        format = FORMATS.get(extension, "txt")
    else:
        name, raw = "standard input", source.read()
        format = format or DEFAULTS.get(model.task, "csv")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 (byte {error.start})") from None
    if model.task == "language":
        return [text] if text.strip() else _fail(name, "is empty")
    if model.task == "tag":
        return _sentences(name, text, format)
    if model.task in ("translate", "classify", "regress") and format == "txt":
        return [line for line in _lines(text) if line.strip()] or _fail(name, "is empty")
    return rows_of_table(model, name, _table(name, text, format))


def rows_of_table(model: Model, name: str, table: Table) -> list[Any]:
    """Return the rows of a table as ``model.predict`` takes them. ``name`` is the table's name in messages.

    Raises ``DataError`` for other values than the model reads, and ``UsageError`` for a missing column or a task
    without tables.
    """
    if not table:
        raise DataError(f"{name}: no rows")
    if model.task not in _READERS:
        raise UsageError(f"{name}: a {model.task} model reads no tables")
    return _READERS[model.task](name, table, model.columns)


def _texts(name: str, table: Table, columns: Mapping[str, Any]) -> list[Any]:
    if columns.get("sound"):
        raise UsageError("sound: a runtime folder reads no recordings; call predict with samples from Python")
    if columns.get("channels"):
        return _sequences(name, table, columns)
    column = columns.get("text") or columns.get("source") or ("source" if "source" in table[0] else None)
    if column is None:
        if len(table[0]) != 1:
            raise UsageError(f"{name}: the model was trained without a column of texts; wanted a table with one column")
        column = next(iter(table[0]))
    return [str(_value(name, number, row, column)) for number, row in enumerate(table, 1)]


def _sequences(name: str, table: Table, columns: Mapping[str, Any]) -> list[Any]:
    """Group rows by id, each in order of time; pairs of the id and the values."""
    groups = _groups(name, table, columns, columns["channels"])
    if not columns.get("id"):
        return [[values] for _, rows in groups for values in rows]
    return groups


def _series(name: str, table: Table, columns: Mapping[str, Any]) -> list[Any]:
    targets = [*columns.get("target", ()), *columns.get("covariates", ())]
    if not targets:
        return [("1", [[_number(name, number, row, key) for key in row] for number, row in enumerate(table, 1)])]
    return _groups(name, table, columns, targets)


def _groups(name: str, table: Table, columns: Mapping[str, Any], channels: list[str]) -> list[Any]:
    groups: dict[str, list[tuple[Any, list[float]]]] = {}
    for number, row in enumerate(table, 1):
        group = str(_value(name, number, row, columns["id"])) if columns.get("id") else "1"
        time = _time(name, number, row, columns["time"]) if columns.get("time") else number
        groups.setdefault(group, []).append((time, [_number(name, number, row, key) for key in channels]))
    try:
        ordered = {group: sorted(rows, key=lambda pair: pair[0]) for group, rows in groups.items()}
    except TypeError:
        raise DataError(f"{name}: column '{columns['time']}' has numbers and dates, wanted one of them") from None
    return [(group, [values for _, values in rows]) for group, rows in ordered.items()]


def _sentences(name: str, text: str, format: str) -> list[Any]:
    if format == "jsonl":
        return [row.get("words") for row in _table(name, text, format)]
    if format == "txt":
        return [line.split() for line in _lines(text) if line.strip()] or _fail(name, "is empty")
    if format != "conllu":
        raise UsageError(f"{name}: a runtime folder reads sentences from txt, jsonl and conllu")
    sentences: list[list[str]] = [[]]
    for number, line in enumerate(_lines(text), 1):
        fields = line.split("\t")
        if not line.strip():
            sentences.append([])
        elif not line.startswith("#"):
            if len(fields) != 10:
                raise DataError(f"{name} line {number}: {len(fields)} columns, wanted 10 separated by tabs (CoNLL-U)")
            if "-" not in fields[0] and "." not in fields[0]:
                sentences[-1].append(fields[1])
    return [words for words in sentences if words] or _fail(name, "no sentences")


_READERS: dict[str, Callable[[str, Table, Mapping[str, Any]], list[Any]]] = {
    "classify": _texts, "regress": _texts, "translate": _texts, "forecast": _series
}  # fmt: skip


def _table(name: str, text: str, format: str) -> Table:
    if format == "jsonl":
        return list(_json_lines(name, text))
    if format not in ("csv", "tsv"):
        raise UsageError(f"{name}: this model reads tables (csv, tsv, jsonl), not {format}")
    if format == "csv":
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise DataError(f"{name} line {reader.line_num}: {error}") from None
    if not rows:
        return []
    header = rows[0]
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DataError(f"{name} row {number}: {len(row)} values, wanted {len(header)}")
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def _json_lines(name: str, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(text), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{name} line {number}: not JSON ({error})") from None
            if not isinstance(row, dict):
                raise DataError(f"{name} line {number}: no JSON object")
            yield row


def _value(name: str, number: int, row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise UsageError(f"{name}: no column '{column}'{nearest(column, map(str, row))}")
    value = row[column]
    if value is None or value == "":
        raise DataError(f"{name} row {number}: column '{column}' is empty")
    return value


def _number(name: str, number: int, row: Mapping[str, Any], column: str) -> float:
    """Return a number; NaN for an empty value."""
    if column not in row:
        raise UsageError(f"{name}: no column '{column}'{nearest(column, map(str, row))}")
    value = row[column]
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "na", "null")):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{name} row {number}: column '{column}' has {value!r}, wanted a number") from None


def _time(name: str, number: int, row: Mapping[str, Any], column: str) -> Any:
    value = str(_value(name, number, row, column))
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise DataError(
            f"{name} row {number}: column '{column}' has '{value}', wanted a number or an ISO date such as 2026-01-31"
        ) from None


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _fail(name: str, reason: str) -> Any:
    raise DataError(f"{name}: {reason}")
