"""Tables that are in memory already, or come whole: frames, arrays, lists, Parquet, JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, final

import numpy as np

from seriatim.data.files import BOM, decode
from seriatim.data.rows import Rows
from seriatim.errors import DataError

if TYPE_CHECKING:
    import polars


@final
class Frame(Rows):
    """Columns of one length, each a Polars series made when it is asked for."""

    def __init__(
        self,
        name: str,
        names: Sequence[str],
        rows: int,
        column: Callable[[str], polars.Series],
        lines: Sequence[int] | None = None,
    ) -> None:
        """``lines``: each row's line in a text file; without it rows are counted from 1.

        Raises ``DataError`` when there are no rows or two columns have one name.
        """
        self.name, self.names, self.rows = name, list(names), rows
        self._column, self._lines = column, lines
        if not rows:
            raise DataError(f"{name}: no rows")
        twice = (
            [one for place, one in enumerate(self.names) if one in self.names[:place]]
            if len(set(names)) < len(names)
            else []
        )
        if twice:
            raise DataError(f"{name}: two columns are named '{twice[0]}'")

    def chunks(self, columns: Sequence[str], *, numbers: bool) -> Iterator[polars.DataFrame]:
        import polars

        yield polars.DataFrame([self._column(column).alias(column) for column in dict.fromkeys(columns)])

    def line(self, row: int) -> str:
        return f"row {row + 1}" if self._lines is None else f"line {self._lines[row]}"


def parquet(open_file: Callable[[], BinaryIO], name: str) -> Frame:
    """A Parquet file; only the columns asked for are read. Raises ``DataError`` for a file that is not Parquet."""
    import polars

    try:
        with open_file() as stream:
            names = list(polars.read_parquet_schema(stream))
        with open_file() as stream:
            rows = polars.scan_parquet(stream).select(polars.len()).collect().item()
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{name}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from None

    def column(wanted: str) -> polars.Series:
        try:
            with open_file() as stream:
                return polars.read_parquet(stream, columns=[wanted])[wanted]
        except (polars.exceptions.PolarsError, OSError) as error:
            raise DataError(f"{name}: column '{wanted}' cannot be read: {str(error).splitlines()[0]}") from None

    return Frame(name, names, rows, column)


def json_lines(open_file: Callable[[], BinaryIO], name: str, wanted: Sequence[str]) -> Frame:
    """A JSON object per line; only the ``wanted`` names are kept. Raises ``DataError`` with the line of a fault."""
    cells: dict[str, list[object]] = {column: [] for column in wanted}
    names: dict[str, None] = {}
    lines: list[int] = []
    offset = 0
    with open_file() as stream:
        for number, raw in enumerate(stream, 1):
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
            names.update(dict.fromkeys(item))
            for column, values in cells.items():
                values.append(item.get(column))
            lines.append(number)
    return Frame(name, list(names), len(lines), lambda column: from_values(cells[column], column), lines)


def records(source: Sequence[Mapping[str, object]]) -> Frame:
    """A list of dicts, one per row; a name that a row lacks is a missing value."""
    names = list(dict.fromkeys(str(key) for row in source for key in row))
    return Frame(
        "list of dicts", names, len(source), lambda column: from_values([row.get(column) for row in source], column)
    )


def matrix(source: Sequence[Sequence[object]]) -> Frame:
    """A list of rows; columns by number from 1. Raises ``DataError`` for ragged rows."""
    width = len(source[0])
    for number, row in enumerate(source, 1):
        if len(row) != width:
            raise DataError(f"list of rows: row {number}: {len(row)} cells, wanted {width}")
    names = [str(number) for number in range(1, width + 1)]
    return Frame(
        "list of rows", names, len(source), lambda column: from_values([row[int(column) - 1] for row in source], column)
    )


def array(source: np.ndarray[Any, Any]) -> Frame:
    """An array ``[N, columns]``; columns by number from 1."""
    names = [str(number) for number in range(1, source.shape[1] + 1)]
    return Frame("array", names, len(source), lambda column: from_array(source[:, int(column) - 1], column))


def polars_frame(source: polars.DataFrame) -> Frame:
    """A Polars frame."""
    return Frame("frame", source.columns, source.height, source.get_column)


def pandas_frame(source: Any) -> Frame:
    """A pandas frame; an index with a name is a column too."""
    if any(name is not None for name in source.index.names):
        source = source.reset_index()
    places = {str(name): place for place, name in enumerate(source.columns)}
    names = [str(name) for name in source.columns]
    return Frame("frame", names, len(source), lambda column: _from_pandas(source.iloc[:, places[column]], column))


def _from_pandas(column: Any, name: str) -> polars.Series:
    """Without PyArrow, which a user of pandas need not have."""
    kind = getattr(column.dtype, "kind", "O")
    if kind == "M":
        return from_array(column.to_numpy(dtype="datetime64[us]"), name)
    if kind in "iuf" and column.isna().any():
        return from_array(column.to_numpy(dtype="float64", na_value=float("nan")), name)
    if kind in "iuf":
        return from_array(column.to_numpy(dtype=f"{kind if kind != 'u' else 'i'}8"), name)
    missing = column.isna().to_numpy()
    return from_values([None if gone else value for value, gone in zip(column, missing, strict=True)], name)


def from_array(values: np.ndarray[Any, Any], name: str) -> polars.Series:
    """One column of an array."""
    import polars

    if values.dtype == object:
        return from_values(values.tolist(), name)
    return polars.Series(name, np.ascontiguousarray(values))


def from_values(values: Sequence[object], name: str) -> polars.Series:
    """One column of Python values; of different kinds, they become strings, and no value is lost."""
    import polars

    try:
        return polars.Series(name, values, strict=True)
    except (TypeError, OverflowError, polars.exceptions.PolarsError):
        return polars.Series(name, [None if value is None else str(value) for value in values], dtype=polars.String)
