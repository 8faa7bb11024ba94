"""Reads tables from files, frames, arrays and lists, column by column; errors name the line."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data import frames
from seriatim.data.cell_values import CellError, to_floats, to_names, to_strings
from seriatim.data.compression import format_suffix, is_compressed, unpack
from seriatim.data.delimited import CSV, TSV, Delimited
from seriatim.data.files import InputStream, check_file, read_bytes
from seriatim.data.rows import Rows
from seriatim.data.timestamps import StampReader
from seriatim.encoding.stamp_texts import TimeStamps
from seriatim.errors import DataError, UsageError

if TYPE_CHECKING:
    import polars

Opener = Callable[[], BinaryIO]

FORMATS: Final = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"
}  # fmt: skip
"""Format of each file extension."""


@final
class Table:
    """A table with named columns; each column is read on request.

    All methods raise ``DataError`` with file, line and column of the first error.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.name = rows.name
        self.names = rows.names
        self.rows = rows.rows

    def __len__(self) -> int:
        return self.rows

    def has(self, column: str) -> bool:
        """Whether the table has this column."""
        return any(name.strip() == column.strip() for name in self.names)

    def text(self, column: str) -> list[str]:
        """Return the column as strings; an empty cell is an error."""
        return [text for chunk in self._convert(column, lambda cells: to_strings(cells, "text")) for text in chunk]

    def labels(self, column: str) -> list[str]:
        """Return the column as names, which ``plain_name`` makes equal from every source; an empty cell is an error."""
        return [name for chunk in self._name_chunks(column, "label") for name in chunk]

    def values(self, column: str, noun: str = "value") -> list[Any]:
        """Return the unchanged column: strings from text files; also bytes, numbers, lists and dicts from others.

        An empty cell is an error; ``noun`` names the missing thing in the message.
        """
        values: list[Any] = []
        column = self._rows.find_column(column)
        for chunk in self._rows.chunks([column], numbers=False):
            values.extend(chunk[column].to_list())
        for row, value in enumerate(values):
            if value is None:
                raise self.fault(row, column, f"no {noun}")
        return values

    def codes(self, column: str, noun: str = "value") -> tuple[NDArray[np.int64], list[str]]:
        """Return an index ``[N]`` into the distinct values, and these values in order of first appearance.

        An empty cell is an error; ``noun`` names the missing thing in the message.
        """
        codes = np.empty(self.rows, dtype=np.int64)
        known: dict[str, int] = {}
        row = 0
        for strings in self._name_chunks(column, noun):
            distinct = strings.unique(maintain_order=True)
            for name in distinct:
                known.setdefault(name, len(known))
            indices = strings.replace_strict(distinct, [known[name] for name in distinct])
            codes[row : row + len(strings)] = indices.to_numpy()
            row += len(strings)
        return codes, list(known)

    def numbers(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """Return the columns as float64 ``[N, C]``.

        An empty cell, NA, N/A, NaN, nan, null, None and ? become NaN; other text and infinities are errors.
        """
        values = np.empty((self.rows, len(columns)), dtype=np.float64)
        row = 0
        columns = [self._rows.find_column(column) for column in columns]
        for chunk in self._rows.chunks(columns, numbers=True):
            for index, column in enumerate(columns):
                try:
                    values[row : row + chunk.height, index] = to_floats(chunk[column])
                except CellError as error:
                    raise self.fault(row + error.row, column, error.fault) from None
            row += chunk.height
        return values

    def timestamps(self, column: str, date_format: str | None = None) -> TimeStamps:
        """Return the column as time stamps ``[N]``: dates, or plain numbers.

        Dates are ISO 8601, or have a form that is clear from the whole column; ``date_format`` (a pattern of
        ``strptime``) names the form otherwise. Whole numbers may be dates too: YYYYMMDD, YYYYMM, YYYYMMDDHH, YYYYQ.
        """
        reader = StampReader(date_format, is_text=self._rows.is_text)
        row = 0
        column = self._rows.find_column(column)
        for chunk in self._rows.chunks([column], numbers=False):
            try:
                reader.read(chunk[column])
            except CellError as error:
                raise self.fault(row + error.row, column, error.fault) from None
            row += chunk.height
        try:
            return reader.finish()
        except CellError as error:
            raise self.fault(error.row, column, error.fault) from None

    def line(self, row: int) -> str:
        """Return the location of row ``row`` (from 0), for messages: ``line 17`` in text files, else ``row 17``."""
        return self._rows.line(int(row))

    def location(self, row: int) -> str:
        """Return file and line of row ``row`` (from 0), for messages: ``sms.tsv line 3``."""
        return f"{self.name} {self.line(row)}"

    def fault(self, row: int, column: str, reason: str) -> DataError:
        """Return the error to raise for a cell, with file, line, column and reason."""
        return DataError(f"{self.name}: {self.line(row)}, column '{column}': {reason}")

    def _name_chunks(self, column: str, noun: str) -> Iterator[polars.Series]:
        return self._convert(column, lambda cells: to_names(cells, noun))

    def _convert(self, column: str, convert: Callable[[polars.Series], polars.Series]) -> Iterator[polars.Series]:
        row = 0
        column = self._rows.find_column(column)
        for chunk in self._rows.chunks([column], numbers=False):
            try:
                yield convert(chunk[column])
            except CellError as error:
                raise self.fault(row + error.row, column, error.fault) from None
            row += chunk.height


def open_table(
    source: object,
    *,
    header: bool = True,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    format: str | None = None,
) -> Table:
    """Open a table to read ``columns``, and ``optional`` columns if the table has them.

    ``source`` is one of these: the path of a CSV (quoted), TSV (a ``"`` is a character), Parquet or JSON-lines file,
    recognized by its extension; a binary file with its ``format`` (``csv``, ``tsv``, ``parquet``, ``jsonl``); a Polars
    or pandas frame; a list of dicts; a NumPy array ``[N, columns]`` or a list of rows. Columns are numbered from 1 in
    arrays, in lists of rows, and in CSV and TSV without a ``header``.

    Raises ``UsageError`` for an unknown extension, type of source or column. Raises ``DataError`` for a file that is
    missing, empty, not UTF-8, ragged or damaged.
    """
    needed = list(dict.fromkeys([*columns, *optional]))
    if isinstance(source, InputStream):
        format = format or source.format
    rows = _from_file(source, format, header, needed) or _from_memory(source)
    for column in columns:
        rows.find_column(column)
    return Table(rows)


def has_columns(source: object, columns: Sequence[str]) -> bool:
    """Whether ``source`` is a table with a header that names all ``columns``; False if it cannot be opened."""
    is_table = hasattr(source, "columns") or isinstance(source, list)
    if isinstance(source, (str, Path)):
        is_table = format_suffix(source) in FORMATS
    if not is_table:
        return False
    try:
        table = open_table(source, columns=())
    except (DataError, UsageError):
        return False
    return all(table.has(column) for column in columns)


def _from_file(source: object, format: str | None, header: bool, columns: list[str]) -> Rows | None:
    if isinstance(source, (str, Path)):
        name = str(source)
        opener: Callable[..., BinaryIO] = cast("Opener", check_file(source).open)
        format = format or FORMATS.get(format_suffix(source))
        if format is None:
            known = ", ".join(FORMATS)
            raise UsageError(f"{name}: unknown extension for a table, wanted one of {known}")
        if is_compressed(source):
            raw = read_bytes(source)
            opener = lambda mode: io.BytesIO(raw)  # noqa: E731
        return _READERS[_checked_format(format)](partial(_open, opener, name), name, header, columns)
    if hasattr(source, "read"):
        file_name = getattr(source, "name", None)
        name = file_name if isinstance(file_name, str) and not file_name.startswith("<") else "standard input"
        raw = cast("BinaryIO", source).read()
        if not isinstance(raw, bytes):
            raise UsageError(f"{name}: a file open as text, wanted one open as binary")
        if not raw:
            raise DataError(f"{name}: is empty")
        raw = unpack(raw, name)
        return _READERS[_checked_format(format)](partial(io.BytesIO, raw), name, header, columns)
    return None


def _open(opener: Callable[..., BinaryIO], name: str) -> BinaryIO:
    try:
        return opener("rb")
    except OSError as error:
        raise DataError(f"{name}: {(error.strerror or str(error)).lower()}") from None


def _checked_format(format: str | None) -> str:
    if format not in _READERS:
        raise UsageError(f"format: got {format!r}, wanted one of {', '.join(_READERS)}")
    return format


_READERS: Final[dict[str, Callable[[Opener, str, bool, list[str]], Rows]]] = {
    "csv": lambda opener, name, header, columns: Delimited(opener, name, CSV, header),
    "tsv": lambda opener, name, header, columns: Delimited(opener, name, TSV, header),
    "parquet": lambda opener, name, header, columns: frames.parquet(opener, name),
    "jsonl": lambda opener, name, header, columns: frames.json_lines(opener, name, columns),
}


def _from_memory(source: object) -> Rows:
    library = type(source).__module__.partition(".")[0]
    if library in ("polars", "pandas") and hasattr(source, "collect"):
        source = source.collect()
    if library in ("polars", "pandas") and hasattr(source, "columns"):
        return {"polars": frames.polars_frame, "pandas": frames.pandas_frame}[library](source)
    if isinstance(source, np.ndarray) and source.ndim == 2:
        return frames.array(source)
    if isinstance(source, (list, tuple)) and source:
        if all(isinstance(row, Mapping) for row in source):
            return frames.records(cast("Sequence[Mapping[str, object]]", source))
        if all(isinstance(row, (list, tuple, np.ndarray)) for row in source):
            return frames.matrix(cast("Sequence[Sequence[object]]", source))
    if isinstance(source, (list, tuple)) and not source:
        raise DataError("data: an empty list")
    raise UsageError(
        f"data: got {_describe(source)}, wanted the path of a table, a Polars or pandas frame, "
        "a list of dicts or of rows, or a 2-D array"
    )


def _describe(source: object) -> str:
    if isinstance(source, np.ndarray):
        return f"a {source.ndim}-D array"
    if isinstance(source, (list, tuple)) and source:
        return f"a {type(source).__name__} of {type(source[0]).__name__}"
    return type(source).__name__
