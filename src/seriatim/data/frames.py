"""Tables in memory and tables that are read whole: frames, arrays, lists, Parquet, JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, final

import numpy as np

from seriatim.data.cell_values import CellError
from seriatim.data.files import BOM, check_unicode, decode, surrogate_fault
from seriatim.data.rows import Rows
from seriatim.errors import DataError

if TYPE_CHECKING:
    import polars


@final
class Frame(Rows):
    """Columns of equal length; each becomes a Polars series on demand."""

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        rows: int,
        column: Callable[[str], polars.Series],
        lines: Sequence[int] | None = None,
    ) -> None:
        """``lines``: the line of each row in a text file; without it, messages use row numbers from 1.

        Raises ``DataError`` if there are no rows or two columns have the same name.
        """
        self.name, self.names, self.rows = name, list(names), rows
        self._column, self._lines = column, lines
        if not rows:
            raise DataError(f"{name}: no rows")
        repeated = (
            [column for index, column in enumerate(self.names) if column in self.names[:index]]
            if len(set(names)) < len(names)
            else []
        )
        if repeated:
            raise DataError(f"{name}: two columns are named '{repeated[0]}'")

    def chunks(self, columns: Sequence[str], *, numbers: bool) -> Iterator[polars.DataFrame]:
        import polars

        yield polars.DataFrame([self._checked_column(column).alias(column) for column in dict.fromkeys(columns)])

    def _checked_column(self, column: str) -> polars.Series:
        try:
            return self._column(column)
        except CellError as error:
            raise DataError(f"{self.name}: {self.line(error.row)}, column '{column}': {error.fault}") from None

    def line(self, row: int) -> str:
        return f"row {row + 1}" if self._lines is None else f"line {self._lines[row]}"


def parquet(open_file: Callable[[], BinaryIO], name: str) -> Frame:
    """Open a Parquet file; only requested columns are read. Raises ``DataError`` for a file that is not Parquet."""
    import polars

    try:
        with open_file() as stream:
            names = list(polars.read_parquet_schema(stream))
        with open_file() as stream:
            rows = polars.scan_parquet(stream).select(polars.len()).collect().item()
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{name}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None

    def read_column(column: str) -> polars.Series:
        try:
            with open_file() as stream:
                return polars.read_parquet(stream, columns=[column])[column]
        except (polars.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{name}: column '{column}' cannot be read: {str(error).splitlines()[0]}") from None

    return Frame(name, names, rows, read_column)


def json_lines(open_file: Callable[[], BinaryIO], name: str, columns: Sequence[str]) -> Frame:
    """Read one JSON object per line, but only ``columns``. Raises ``DataError`` with the line of an error."""
    requested = {column.strip() for column in columns}
    cells: dict[str, list[object]] = {}
    names: dict[str, None] = {}
    lines: list[int] = []
    offset = 0
    with open_file() as stream:
        for number, raw in enumerate(_lines(stream), 1):
            text = decode(raw.removeprefix(BOM) if number == 1 else raw, name, offset=offset, line=number)
            offset += len(raw)
            if not text.strip():
                continue
            try:
                item = json.loads(text)
            except json.JSONDecodeError as error:
                raise DataError(f"{name}: line {number}: not JSON: {error.msg} at column {error.colno}") from None
            if not isinstance(item, dict):
                raise DataError(f"{name}: line {number}: wanted an object {{…}}, got {text.strip()[:40]}")
            if "\\ud" in text.lower():
                check_unicode(item, f"{name}: line {number}")
            names.update(dict.fromkeys(item))
            for column in item:
                if column not in cells and column.strip() in requested:
                    cells[column] = [None] * len(lines)
            for column, values in cells.items():
                values.append(item.get(column))
            lines.append(number)
    return Frame(name, list(names), len(lines), lambda column: from_values(cells[column], column), lines)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the lines with their ends; ``\\r`` ends a line in a file without ``\\n``."""
    first = stream.readline()
    yield from [first] if first.endswith(b"\n") else re.findall(rb"[^\r]*\r|[^\r]+", first)
    yield from stream


def records(source: Sequence[Mapping[str, object]]) -> Frame:
    """Wrap a list of dicts, one per row; a name that is not in a row is a missing value there."""
    names = list(dict.fromkeys(str(key) for row in source for key in row))
    return Frame(
        "list of dicts", names, len(source), lambda column: from_values([row.get(column) for row in source], column)
    )


def matrix(source: Sequence[Sequence[object]]) -> Frame:
    """Wrap a list of rows; columns are numbered from 1. Raises ``DataError`` for ragged rows."""
    width = len(source[0])
    for number, row in enumerate(source, 1):
        if len(row) != width:
            raise DataError(f"list of rows: row {number}: {len(row)} cells, wanted {width}")
    names = [str(number) for number in range(1, width + 1)]
    return Frame(
        "list of rows", names, len(source), lambda column: from_values([row[int(column) - 1] for row in source], column)
    )


def array(source: np.ndarray[Any, Any]) -> Frame:
    """Wrap an array ``[N, columns]``; columns are numbered from 1."""
    names = [str(number) for number in range(1, source.shape[1] + 1)]
    return Frame("array", names, len(source), lambda column: from_array(source[:, int(column) - 1], column))


def polars_frame(source: polars.DataFrame) -> Frame:
    """Wrap a Polars frame."""
    return Frame("frame", source.columns, source.height, source.get_column)


def pandas_frame(source: Any) -> Frame:
    """Wrap a pandas frame; a named index is a column too, and one of dates without a name is the column ``index``."""
    if any(name is not None for name in source.index.names):
        source = source.reset_index()
    elif has_dates(source.index) and "index" not in source.columns:
        source = source.reset_index(names="index")
    names = [_pandas_name(name) for name in source.columns]
    positions = {name: position for position, name in enumerate(names)}
    return Frame("frame", names, len(source), lambda column: _from_pandas(source.iloc[:, positions[column]], column))


def has_dates(index: Any) -> bool:
    """Whether a pandas index holds dates or periods."""
    return getattr(index.dtype, "kind", "O") == "M" or hasattr(index.dtype, "freq")


def _pandas_name(name: object) -> str:
    """Return the name of a column; the levels of a multi-level name are joined by points."""
    if isinstance(name, tuple):
        return ".".join(str(level) for level in name if str(level))
    return str(name)


def _from_pandas(column: Any, name: str) -> polars.Series:
    """Convert a pandas column without PyArrow, which a user of pandas may not have."""
    kind = getattr(column.dtype, "kind", "O")
    zone = getattr(column.dtype, "tz", None)
    if zone is not None:
        return _from_zoned(column, str(zone), name)
    if kind == "M":
        return from_array(column.to_numpy(dtype="datetime64[us]"), name)
    if hasattr(column.dtype, "freq"):  # periods such as 2020Q1; a week is written as its first day
        starts = column.dt.start_time.dt.strftime("%Y-%m-%d") if column.dtype.name.startswith("period[W") else column
        texts = [None if is_missing else str(value) for value, is_missing in zip(starts, column.isna(), strict=True)]
        return from_values(texts, name)
    if kind == "f":
        size = max(getattr(column.dtype, "numpy_dtype", column.dtype).itemsize, 4)
        return from_array(column.to_numpy(dtype=f"f{size}", na_value=float("nan")), name)
    if kind in "iu" and not column.isna().any():
        return from_array(column.to_numpy(dtype=f"{kind}8"), name)
    missing = column.isna().to_numpy()
    return from_values([None if is_missing else value for value, is_missing in zip(column, missing, strict=True)], name)


def _from_zoned(column: Any, zone: str, name: str) -> polars.Series:
    """Convert pandas stamps with a time zone; a zone that Polars does not know becomes text with offsets."""
    import polars

    try:
        instants = from_array(column.to_numpy(dtype="datetime64[us]"), name)
        return instants.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
    except polars.exceptions.PolarsError:
        texts = [None if stamp != stamp else stamp.isoformat() for stamp in column]
        return polars.Series(name, texts, dtype=polars.String)


def from_array(values: np.ndarray[Any, Any], name: str) -> polars.Series:
    """Convert one column of an array."""
    import polars

    if values.dtype == object or isinstance(values, np.ma.MaskedArray):
        return from_values(values.tolist(), name)  # None for a masked value
    return polars.Series(name, np.ascontiguousarray(values))


def from_values(values: Sequence[object], name: str) -> polars.Series:
    """Convert one column of Python values; values of different types become strings, and none is lost.

    Raises ``CellError`` for a string with half a surrogate pair.
    """
    import polars

    values = [None if value is np.ma.masked else value for value in values]
    try:
        try:
            return polars.Series(name, values, strict=True)
        except (TypeError, OverflowError, polars.exceptions.PolarsError):
            return polars.Series(name, [None if value is None else str(value) for value in values], dtype=polars.String)
    except UnicodeEncodeError:
        for row, value in enumerate(values):
            fault = surrogate_fault(value)
            if fault:
                raise CellError(row, fault) from None
        raise
