"""Tables from files, frames, arrays and lists, read column by column, with the line of every fault."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data import frames
from seriatim.data.cell_values import CellError, to_floats, to_strings, to_timestamps
from seriatim.data.delimited import CSV, TSV, Delimited
from seriatim.data.files import InputStream, check_file
from seriatim.data.rows import Rows
from seriatim.errors import DataError, UsageError

if TYPE_CHECKING:
    import polars

Opener = Callable[[], BinaryIO]

FORMATS: Final = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"
}  # fmt: skip
"""Extension → format."""


@final
class Table:
    """Rows with names for their columns. Nothing but the columns asked for is read, and only when asked for.

    Every method raises ``DataError`` that names the file, the line and the column of the first fault.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.name = rows.name
        self.names = rows.names
        self.rows = rows.rows

    def __len__(self) -> int:
        return self.rows

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self.names

    def text(self, column: str) -> list[str]:
        """The column as strings; an empty cell is a fault."""
        return self._strings(column, "text")

    def labels(self, column: str) -> list[str]:
        """The column as names of classes: ``1`` stays ``'1'``; an empty cell is a fault."""
        return self._strings(column, "label")

    def values(self, column: str, what: str = "value") -> list[Any]:
        """The column as it stands: strings of a text file; also bytes, numbers, lists and dicts of other tables.

        An empty cell is a fault; ``what`` is what it lacks.
        """
        values: list[Any] = []
        self._check([column])
        for chunk in self._rows.chunks([column], numbers=False):
            values.extend(chunk[column].to_list())
        for row, value in enumerate(values):
            if value is None:
                raise self.fault(row, column, f"no {what}")
        return values

    def codes(self, column: str, what: str = "value") -> tuple[NDArray[np.int64], list[str]]:
        """The column as numbers ``[N]`` of its different values, and those in order of first appearance.

        An empty cell is a fault; ``what`` is what it lacks.
        """
        codes = np.empty(self.rows, dtype=np.int64)
        known: dict[str, int] = {}
        row = 0
        for strings in self._string_chunks(column, what):
            different = strings.unique(maintain_order=True)
            for name in different:
                known.setdefault(name, len(known))
            here = strings.replace_strict(different, [known[name] for name in different])
            codes[row : row + len(strings)] = here.to_numpy()
            row += len(strings)
        return codes, list(known)

    def numbers(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """The columns as float64 ``[N, C]``.

        An empty cell, NA, N/A, NaN, nan, null, None and ? are NaN; other text and infinities are faults.
        """
        values = np.empty((self.rows, len(columns)), dtype=np.float64)
        row = 0
        self._check(columns)
        for chunk in self._rows.chunks(columns, numbers=True):
            for place, column in enumerate(columns):
                try:
                    values[row : row + chunk.height, place] = to_floats(chunk[column])
                except CellError as bad:
                    raise self.fault(row + bad.row, column, bad.fault) from None
            row += chunk.height
        return values

    def timestamps(self, column: str) -> NDArray[Any]:
        """The column as time stamps ``[N]``: ``datetime64[us]``, or ``int64`` or ``float64`` for plain numbers.

        Dates are ISO 8601, or with ``/`` or ``.`` in them, or YYYY-MM, or YYYYMMDD.
        """
        timestamps: NDArray[Any] | None = None
        row = 0
        self._check([column])
        for chunk in self._rows.chunks([column], numbers=False):
            try:
                part = to_timestamps(chunk[column])
                timestamps = _room_for(part, self.rows, timestamps)
            except CellError as bad:
                raise self.fault(row + bad.row, column, bad.fault) from None
            timestamps[row : row + chunk.height] = part
            row += chunk.height
        assert timestamps is not None  # a table has rows
        return timestamps

    def line(self, row: int) -> str:
        """How a person finds row ``row`` (from 0): ``line 17`` in a text file, ``row 17`` elsewhere."""
        return self._rows.line(int(row))

    def location(self, row: int) -> str:
        """File and line of row ``row`` (from 0), for messages: ``sms.tsv line 3``."""
        return f"{self.name} {self.line(row)}"

    def fault(self, row: int, column: str, what: str) -> DataError:
        """The error to raise for a cell: file, line, column and what is wrong with it."""
        return DataError(f"{self.name}: {self.line(row)}, column '{column}': {what}")

    def _check(self, columns: Sequence[str]) -> None:
        for column in columns:
            self._rows.check_column(column)

    def _string_chunks(self, column: str, what: str) -> Iterator[polars.Series]:
        row = 0
        self._check([column])
        for chunk in self._rows.chunks([column], numbers=False):
            try:
                yield to_strings(chunk[column], what)
            except CellError as bad:
                raise self.fault(row + bad.row, column, bad.fault) from None
            row += chunk.height

    def _strings(self, column: str, what: str) -> list[str]:
        strings: list[str] = []
        for chunk in self._string_chunks(column, what):
            strings.extend(chunk.to_list())
        return strings


def _room_for(part: NDArray[Any], rows: int, timestamps: NDArray[Any] | None) -> NDArray[Any]:
    """An array for ``rows`` stamps of the kind of ``part``: a new one, or ``timestamps``, as floats if need be."""
    if timestamps is None:
        return np.empty(rows, dtype=part.dtype)
    if "M" in (part.dtype.kind, timestamps.dtype.kind) and part.dtype != timestamps.dtype:
        raise CellError(0, "dates and plain numbers are mixed")
    return timestamps.astype(np.float64) if part.dtype.kind == "f" and timestamps.dtype.kind != "f" else timestamps


def open_table(
    source: object,
    *,
    header: bool = True,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    format: str | None = None,
) -> Table:
    """Open a table to read ``columns``, and ``optional`` ones if it has them.

    ``source``: the path of a CSV (quoted), TSV (a ``"`` is a character), Parquet or JSON-lines file, told by its
    extension; a binary file with its ``format`` (``csv``, ``tsv``, ``parquet``, ``jsonl``); a Polars or pandas frame;
    a list of dicts; a NumPy array ``[N, columns]`` or a list of rows. Columns are numbers from 1 in arrays, in lists
    of rows, and in CSV and TSV without a ``header``.

    Raises ``UsageError`` for an extension, a kind of source or a column that it does not know, ``DataError`` for a
    file that is missing, empty, not UTF-8, ragged or damaged.
    """
    wanted = list(dict.fromkeys([*columns, *optional]))
    if isinstance(source, InputStream):
        format = format or source.format
    rows = _from_file(source, format, header, wanted) or _from_memory(source)
    for column in columns:
        rows.check_column(column)
    return Table(rows)


def _from_file(source: object, format: str | None, header: bool, wanted: list[str]) -> Rows | None:
    if isinstance(source, (str, Path)):
        name = str(source)
        opener = cast("Opener", check_file(source).open)
        kind = format or FORMATS.get(Path(source).suffix.lower())
        if kind is None:
            known = ", ".join(FORMATS)
            raise UsageError(f"{name}: cannot tell what table this is by its extension; wanted one of {known}")
        return _READERS[_known(kind)](partial(_open, opener, name), name, header, wanted)
    if hasattr(source, "read"):
        given = getattr(source, "name", None)
        name = given if isinstance(given, str) and not given.startswith("<") else "standard input"
        raw = cast("BinaryIO", source).read()
        if not isinstance(raw, bytes):
            raise UsageError(f"{name}: a file open as text, wanted one open as binary")
        if not raw:
            raise DataError(f"{name}: is empty")
        return _READERS[_known(format)](partial(io.BytesIO, raw), name, header, wanted)
    return None


def _open(opener: Callable[..., BinaryIO], name: str) -> BinaryIO:
    try:
        return opener("rb")
    except OSError as error:
        raise DataError(f"{name}: {(error.strerror or str(error)).lower()}") from None


def _known(format: str | None) -> str:
    if format not in _READERS:
        raise UsageError(f"format: got {format!r}, wanted one of {', '.join(_READERS)}")
    return format


_READERS: Final[dict[str, Callable[[Opener, str, bool, list[str]], Rows]]] = {
    "csv": lambda opener, name, header, wanted: Delimited(opener, name, CSV, header),
    "tsv": lambda opener, name, header, wanted: Delimited(opener, name, TSV, header),
    "parquet": lambda opener, name, header, wanted: frames.parquet(opener, name),
    "jsonl": lambda opener, name, header, wanted: frames.json_lines(opener, name, wanted),
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
        f"data: got {_kind(source)}, wanted the path of a table, a Polars or pandas frame, "
        "a list of dicts or of rows, or a 2-D array"
    )


def _kind(source: object) -> str:
    if isinstance(source, np.ndarray):
        return f"a {source.ndim}-D array"
    if isinstance(source, (list, tuple)) and source:
        return f"a {type(source).__name__} of {type(source[0]).__name__}"
    return type(source).__name__
