"""Reads CSV and TSV files, a few megabytes at a time.

Polars parses the cells. This module cuts the stream into whole rows, so that memory does not grow with the file, and
knows the line of each row, so that errors name it.
"""

from __future__ import annotations

import io
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.files import BOM, decode
from seriatim.data.rows import MISSING, Rows
from seriatim.errors import DataError

if TYPE_CHECKING:
    import polars

Offsets = NDArray[np.int64]

BLOCK: Final = 8 << 20
"""Bytes per read."""
HEAD: Final = 1 << 16
"""Bytes at the beginning in which a line end is looked for."""
TAIL: Final = 1 << 16
"""Bytes per read at the end of the file."""
EXCEL_SEPARATOR: Final = re.compile(rb'"?sep=([^\w\s"]|\t)"?\r?\n')
"""First line of some files of Excel, which names the separator."""
NEWLINE: Final = ord("\n")
RETURN: Final = ord("\r")
QUOTE: Final = ord('"')


@dataclass(frozen=True)
class Dialect:
    """The separator of the cells, and whether ``"`` quotes them or is an ordinary character."""

    name: str
    separator: str
    quoted: bool


CSV = Dialect("CSV", ",", quoted=True)
TSV = Dialect("TSV", "\t", quoted=False)


@dataclass(frozen=True)
class BlockPosition:
    """Position in the file of a block of whole rows."""

    offset: int
    size: int
    line: int
    """Number of its first line, from 1."""
    row: int
    """Number of data rows before it."""
    rows: int


@final
class Delimited(Rows):
    """A CSV or TSV file that is checked completely when opened and parsed again for each request.

    ``open_file`` opens the file at its beginning each time it is called.
    """

    is_text = True

    def __init__(self, open_file: Callable[[], BinaryIO], name: str, dialect: Dialect, header: bool) -> None:
        """Raises ``DataError`` for bytes that are not UTF-8, ragged rows, a misplaced or unclosed quote, two columns
        with the same name, or a file without rows."""
        self.name, self._dialect = name, dialect
        self._open = _with_line_feeds(open_file, dialect)
        self.names, self.rows = [], 0
        self._blocks: list[BlockPosition] = []
        self._lines_of: tuple[int, Offsets] = (-1, np.zeros(0, dtype=np.int64))
        offset, line = 0, 1
        for raw in self._cut():
            size = len(raw)
            decode(raw, name, offset=offset, line=line)
            if offset == 0 and raw.startswith(BOM):
                offset, raw = len(BOM), raw[len(BOM) :]
            excel = EXCEL_SEPARATOR.match(raw) if line == 1 and dialect.quoted else None
            if excel:
                self._dialect = replace(dialect, separator=excel[1].decode())
                offset, line, raw = offset + excel.end(), line + 1, raw[excel.end() :]
                if not raw:
                    continue
            if not self.names:
                start = self._name_columns(raw, line, header)
                if not self.names:
                    break
                offset, line, raw = offset + start, line + raw.count(b"\n", 0, start), raw[start:]
            size = len(raw)
            rows = self._count(raw, line)
            if rows:
                self._refuse_blank_cells(raw, line, rows)
                self._blocks.append(BlockPosition(offset, size, line, self.rows, rows))
            offset, line, self.rows = offset + size, line + raw.count(b"\n"), self.rows + rows
        if not self.rows:
            raise DataError(f"{name}: {'holds a header but no rows' if self.names else 'is blank'}")

    def chunks(self, columns: Sequence[str], *, numbers: bool) -> Iterator[polars.DataFrame]:
        import polars

        indices = sorted({self.names.index(column) for column in columns})
        with self._open() as stream:
            for block in self._blocks:
                raw = _without_blanks(self._load(stream, block), self._dialect)
                frame = None
                if numbers:
                    with suppress(polars.exceptions.PolarsError):  # a cell is not a number; parse as strings to find it
                        frame = self._parse(raw, indices, polars.Float64)
                if frame is None:
                    try:
                        frame = self._parse(raw, indices, polars.String)
                    except polars.exceptions.PolarsError as error:
                        reason = str(error).splitlines()[0]
                        raise DataError(f"{self.name}: from line {block.line}: {reason}") from None
                if frame.height != block.rows:
                    raise DataError(
                        f"{self.name}: from line {block.line}: {frame.height} rows, wanted {block.rows}: "
                        "the file was changed while it was read"
                    )
                frame.columns = [self.names[index] for index in indices]
                yield frame.select(list(columns))

    def line(self, row: int) -> str:
        index = bisect_right(self._blocks, row, key=lambda block: block.row) - 1
        block = self._blocks[index]
        if self._lines_of[0] != index:
            with self._open() as stream:
                self._lines_of = (index, _row_lines(self._load(stream, block), self._dialect) + block.line)
        return f"line {self._lines_of[1][row - block.row]}"

    def _cut(self) -> Iterator[bytes]:
        """Yield the file in blocks of whole rows."""
        rest, line = b"", 1
        with self._open() as stream:
            size_left = self._data_size(stream)
            while chunk := stream.read(min(BLOCK, size_left)):
                size_left -= len(chunk)
                rest += chunk
                end = _last_end(rest, self._dialect)
                if end:
                    yield rest[:end]
                    line += rest.count(b"\n", 0, end)
                    rest = rest[end:]
        if rest:
            if self._dialect.quoted and rest.count(b'"') % 2:
                raise DataError(f"{self.name}: line {line}: a quote is opened and never closed")
            yield rest

    def _data_size(self, stream: BinaryIO) -> int:
        """Return the size of the file without rows of nothing but separators at its end, which Excel may write."""
        if not stream.seekable():
            return sys.maxsize
        end = stream.seek(0, io.SEEK_END)
        while end:
            start = max(0, end - TAIL)
            stream.seek(start)
            block = stream.read(end - start).rstrip(f"{self._dialect.separator}\r\n".encode())
            if block:  # the separators and the line end after the last value belong to its row
                stream.seek(start + len(block))
                end = start + len(block) + len(stream.readline())
                break
            end = start
        stream.seek(0)
        return end

    def _load(self, stream: BinaryIO, block: BlockPosition) -> bytes:
        stream.seek(block.offset)
        return _ended(stream.read(block.size))

    def _parse(self, raw: bytes, indices: list[int], dtype: type[polars.DataType]) -> polars.DataFrame:
        import polars

        return polars.read_csv(
            raw,
            has_header=False,
            schema={str(index): dtype for index in range(len(self.names))},
            columns=indices,
            separator=self._dialect.separator,
            quote_char='"' if self._dialect.quoted else None,
            null_values=list(MISSING) if dtype is polars.Float64 else None,
        )

    def _name_columns(self, raw: bytes, line: int, header: bool) -> int:
        """Set ``names`` from the first row that is not blank; return the offset at which the data begin."""
        import polars

        clean = _ended(raw)
        ends = _ends(clean, self._dialect)
        starts = np.concatenate([[0], ends[:-1] + 1])
        filled = np.flatnonzero(
            [bool(clean[start:end].strip()) for start, end in zip(starts[:50], ends[:50], strict=True)]
        )
        if not len(filled):
            return 0
        start, end = int(starts[filled[0]]), int(ends[filled[0]]) + 1
        first = clean[start:end].replace(b"\r\n", b"\n")
        self._check_quotes(first, line + clean.count(b"\n", 0, start))
        row = polars.read_csv(
            first,
            has_header=False,
            infer_schema=False,
            separator=self._dialect.separator,
            quote_char='"' if self._dialect.quoted else None,
        ).row(0)
        if not header:
            self.names = [str(number) for number in range(1, len(row) + 1)]
            return start
        self.names = [cell or "" for cell in row]
        names: set[str] = set()
        for name in filter(None, self.names):
            if name in names:
                raise DataError(f"{self.name}: two columns are named '{name}'")
            names.add(name)
        return min(end, len(raw))

    def _refuse_blank_cells(self, raw: bytes, line: int, rows: int) -> None:
        """Refuse blank lines in a table with one column: they may be missing values or empty lines."""
        if len(self.names) == 1 and b'"' not in raw:
            blank = np.flatnonzero(_row_lines(_ended(raw), self._dialect) != np.arange(rows))
            if len(blank):
                raise DataError(f"{self.name}: line {line + blank[0]}: is blank; write NA for a missing value")

    def _count(self, raw: bytes, line: int) -> int:
        """Count the rows in a block, after a check that each has as many cells as there are columns."""
        clean = _without_blanks(_ended(raw), self._dialect)
        self._check_quotes(clean, line)
        cells = np.frombuffer(clean, dtype=np.uint8)
        separators = cells == ord(self._dialect.separator)
        line_ends = cells == NEWLINE
        if self._dialect.quoted and b'"' in clean:
            outside = _outside(cells)
            separators &= outside
            line_ends &= outside
        marks = line_ends[separators | line_ends]
        width = len(self.names)
        rows, remainder = divmod(len(marks), width)
        if not remainder:
            grid = marks.reshape(rows, width)
            if grid[:, -1].all() and not grid[:, :-1].any():
                return rows
        counts = np.diff(np.flatnonzero(marks), prepend=-1)
        bad = int(np.flatnonzero(counts != width)[0])
        bad_line = line + int(_row_lines(_ended(raw), self._dialect)[bad])
        raise DataError(
            f"{self.name}: line {bad_line}: {counts[bad]} cells, wanted {width}{self._likely_reason(width)}"
        )

    def _likely_reason(self, width: int) -> str:
        """Return a likely reason for ragged rows, or an empty string."""
        for other in ";\t,":
            if width == 1 and other != self._dialect.separator and other in self.names[0]:
                return f" (the separator of a {self._dialect.name} file is {self._dialect.separator!r}, not {other!r})"
        return ""

    def _check_quotes(self, clean: bytes, line: int) -> None:
        """Check that quotes open at the start of a cell and close at its end; others would shift the cells."""
        if not self._dialect.quoted or b'"' not in clean:
            return
        cells = np.frombuffer(clean, dtype=np.uint8)
        quotes = np.flatnonzero(cells == QUOTE)
        is_neighbour = np.zeros(256, dtype=bool)
        is_neighbour[[NEWLINE, QUOTE, ord(self._dialect.separator)]] = True
        opening, closing = quotes[0::2], quotes[1::2]
        bad = opening[~(is_neighbour[cells[opening - 1]] | (opening == 0))]
        bad = np.concatenate([bad, closing[~is_neighbour[cells[np.minimum(closing + 1, len(cells) - 1)]]]])
        if len(bad):
            bad_line = line + clean.count(b"\n", 0, int(bad.min()))
            raise DataError(
                f"{self.name}: line {bad_line}: a quote inside a cell; write it twice and quote the whole cell"
            )


def _with_line_feeds(open_file: Callable[[], BinaryIO], dialect: Dialect) -> Callable[[], BinaryIO]:
    """Return a function that opens the file, with ``\\n`` for each ``\\r`` if ``\\r`` alone ends its lines.

    This is the old line end of the Mac, which Excel still writes. A quoted cell may hold ``\\n`` there.
    """
    with open_file() as stream:
        head = stream.read(HEAD)
    if len(head) == HEAD:  # a \n may follow
        head = head.rstrip(b"\r")
    if b"\r" not in head or len(_ends(head, dialect)):
        return open_file

    def open_translated() -> BinaryIO:
        with open_file() as stream:
            cells = np.frombuffer(stream.read(), dtype=np.uint8).copy()
        is_end = cells == RETURN
        if dialect.quoted:
            is_end &= _outside(cells)
        cells[is_end] = NEWLINE
        return io.BytesIO(cells.tobytes())

    return open_translated


def _ended(raw: bytes) -> bytes:
    """Return ``raw`` with a line end after the last row."""
    return raw if raw.endswith(b"\n") else raw + b"\n"


def _outside(cells: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which bytes are outside quotes: the number of quotes up to such a byte is even."""
    outside: NDArray[np.bool_] = np.cumsum(cells == QUOTE, dtype=np.uint8) & 1 == 0  # uint8 wraps, its parity does not
    return outside


def _ends(raw: bytes, dialect: Dialect) -> Offsets:
    """Return the offsets of the line ends that end a row."""
    cells = np.frombuffer(raw, dtype=np.uint8)
    line_ends = cells == NEWLINE
    if dialect.quoted and b'"' in raw:
        line_ends &= _outside(cells)
    return np.flatnonzero(line_ends)


def _last_end(raw: bytes, dialect: Dialect) -> int:
    """Return the offset at which the last whole row of ``raw`` ends, or 0 if there is none."""
    end = raw.rfind(b"\n") + 1
    inside = dialect.quoted and raw.count(b'"', 0, end) % 2 == 1
    while end and inside:
        previous = raw.rfind(b"\n", 0, end - 1) + 1
        inside ^= raw.count(b'"', previous, end) % 2 == 1
        end = previous
    return end


def _without_blanks(raw: bytes, dialect: Dialect) -> bytes:
    """Return ``raw`` with ``\\n`` for each line end and without blank lines outside quotes."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    if not raw.startswith(b"\n") and b"\n\n" not in raw:
        return raw
    ends = _ends(raw, dialect) + 1
    starts = np.concatenate([[0], ends[:-1]])
    return b"".join(raw[start:end] for start, end in zip(starts, ends, strict=True) if end - start > 1)


def _row_lines(raw: bytes, dialect: Dialect) -> Offsets:
    """Return the number of lines before each row that is not blank."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    ends = _ends(raw, dialect)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1] + 1])
    newlines = np.flatnonzero(np.frombuffer(raw, dtype=np.uint8) == NEWLINE)
    return np.searchsorted(newlines, starts[ends > starts]).astype(np.int64)
