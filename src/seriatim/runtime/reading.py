"""Reads files of rows for ``predict`` with Python's own library: CSV, TSV, JSON lines, CoNLL-U and plain text."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from seriatim.encoding.stamp_texts import TimeStamps
from seriatim.errors import DataError, UsageError, nearest
from seriatim.runtime.model import Model
from seriatim.runtime.recordings import read_column, read_recording
from seriatim.runtime.stamps import read_stamps

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
        if extension == "wav" and getattr(getattr(model, "inputs", None), "sound", None) is not None:
            return [read_recording(path, rate_of(model))]
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
    return rows_of_table(model, name, _table(name, text, format), is_text=format != "jsonl")


def rate_of(model: Model) -> int:
    """Return the samples per second of the recordings that a model reads."""
    inputs: Any = getattr(model, "inputs", None)
    rate: int = inputs.sound.rate
    return rate


def rows_of_table(model: Model, name: str, table: Table, *, is_text: bool = False) -> list[Any]:
    """Return the rows of a table as ``model.predict`` takes them. ``name`` is the table's name in messages.

    ``is_text`` says that all values of the source are texts, as in CSV. Raises ``DataError`` for other values than the
    model reads, and ``UsageError`` for a missing column or a task without tables.
    """
    if not table:
        raise DataError(f"{name}: no rows")
    if model.task not in _READERS:
        what = "pictures from files; call predict with pixels from Python" if model.task == "caption" else "tables"
        raise UsageError(f"{name}: a {model.task} model in a runtime folder reads no {what}")
    if column := model.columns.get("sound"):
        return [*read_column(name, table, column, rate_of(model))]
    return _READERS[model.task](name, table, model.columns, is_text)


def _texts(name: str, table: Table, columns: Mapping[str, Any], is_text: bool) -> list[Any]:
    if columns.get("channels"):
        return _sequences(name, table, columns, is_text)
    column = columns.get("text") or columns.get("source") or ("source" if "source" in table[0] else None)
    if column is None:
        if len(table[0]) != 1:
            raise UsageError(f"{name}: the model was trained without a column of texts; wanted a table with one column")
        column = next(iter(table[0]))
    return [str(_value(name, number, row, column)) for number, row in enumerate(table, 1)]


def _sequences(name: str, table: Table, columns: Mapping[str, Any], is_text: bool) -> list[Any]:
    """Group rows by id, each in order of time; pairs of the id and the values."""
    groups = [group[:2] for group in _groups(name, table, columns, columns["channels"], is_text)]
    if not columns.get("id"):
        return [[values] for _, rows in groups for values in rows]
    return groups


def _series(name: str, table: Table, columns: Mapping[str, Any], is_text: bool) -> list[Any]:
    """Group rows by id, each in order of time; the id, the values and, with a column of time, the stamps."""
    targets = [*columns.get("target", ()), *columns.get("covariates", ())]
    if not targets:
        return [("1", [[_number(name, number, row, key) for key in row] for number, row in enumerate(table, 1)])]
    groups = _groups(name, table, columns, targets, is_text)
    for group, _, stamps in groups:
        if stamps is not None and (repeated := stamps.values[1:] == stamps.values[:-1]).any():
            stamp = stamps.format.write(stamps.values[int(repeated.argmax())])
            raise DataError(f"{name}: column '{columns['time']}': {stamp} occurs twice in series '{group}'")
    return [(group, values) if stamps is None else (group, values, stamps) for group, values, stamps in groups]


def _groups(
    name: str, table: Table, columns: Mapping[str, Any], channels: list[str], is_text: bool
) -> list[tuple[str, list[list[float]], TimeStamps | None]]:
    """Return the id of each group, its rows of ``channels`` in order of time, and their stamps."""
    stamps = None
    if time := columns.get("time"):
        raw = [_value(name, number, row, time) for number, row in enumerate(table, 1)]
        stamps = read_stamps(f"{name}: column '{time}'", raw, is_text=is_text, pattern=columns.get("date_format"))
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(table):
        group = str(_value(name, index + 1, row, columns["id"])) if columns.get("id") else "1"
        groups.setdefault(group, []).append(index)
    result = []
    for group, rows in groups.items():
        own = None
        if stamps is not None:
            order = np.argsort(stamps.values[rows], kind="stable")
            rows = np.array(rows)[order].tolist()
            own = TimeStamps(stamps.values[rows], stamps.format)
        values = [[_number(name, index + 1, table[index], key) for key in channels] for index in rows]
        result.append((group, values, own))
    return result


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


_READERS: dict[str, Callable[[str, Table, Mapping[str, Any], bool], list[Any]]] = {
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


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _fail(name: str, reason: str) -> Any:
    raise DataError(f"{name}: {reason}")
