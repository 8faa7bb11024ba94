"""CSV and TSV, some megabytes at a time.

Polars parses the cells. This file cuts the stream into whole rows, so that memory does not grow with the file,
and knows the line of every row, so that every fault is told by its line.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.files import BOM, decode
from seriatim.data.rows import MISSING, Rows
from seriatim.errors import DataError

if TYPE_CHECKING:
    import polars

Places = NDArray[np.int64]

BLOCK: Final = 8 << 20
"""Bytes read at a time."""
NEWLINE: Final = ord("\n")
QUOTE: Final = ord('"')


@dataclass(frozen=True)
class Dialect:
    """What parts the cells, and whether ``"`` quotes them or is a character like any other."""

    name: str
    separator: str
    quoted: bool


CSV = Dialect("CSV", ",", quoted=True)
TSV = Dialect("TSV", "\t", quoted=False)


@dataclass(frozen=True)
class Block:
    """Whole rows: where they stand in the file."""

    offset: int
    size: int
    line: int
    """Its first line, from 1."""
    row: int
    """Rows of data before it."""
    rows: int


@final
class Delimited(Rows):
    """A CSV or TSV file, checked whole when opened and parsed anew for each question.

    ``open_file`` gives the file from its beginning, each time it is called.
    """

    def __init__(self, open_file: Callable[[], BinaryIO], name: str, dialect: Dialect, header: bool) -> None:
        """Raises ``DataError`` for bytes that are not UTF-8, ragged rows, a quote that is out of place or never closed,
        two columns of one name, or a file without rows."""
        self.name, self._open, self._dialect = name, open_file, dialect
        self.names, self.rows = [], 0
        self._blocks: list[Block] = []
        self._lines_of: tuple[int, Places] = (-1, np.zeros(0, dtype=np.int64))
        offset, line = 0, 1
        for raw in self._cut():
            size = len(raw)
            decode(raw, name, offset=offset, line=line)
            if offset == 0 and raw.startswith(BOM):
                offset, raw = len(BOM), raw[len(BOM) :]
            if not self.names:
                start = self._name_columns(raw, line, header)
                if not self.names:
                    break
                offset, line, raw = offset + start, line + raw.count(b"\n", 0, start), raw[start:]
            size = len(raw)
            rows = self._count(raw, line)
            if rows:
                self._refuse_blank_cells(raw, line, rows)
                self._blocks.append(Block(offset, size, line, self.rows, rows))
            offset, line, self.rows = offset + size, line + raw.count(b"\n"), self.rows + rows
        if not self.rows:
            if any("\r" in column for column in self.names):
                raise DataError(f"{name}: lines end with carriage returns alone, wanted line feeds")
            raise DataError(f"{name}: {'holds a header but no rows' if self.names else 'is blank'}")

    def chunks(self, columns: Sequence[str], *, numbers: bool) -> Iterator[polars.DataFrame]:
        import polars

        places = sorted({self.names.index(column) for column in columns})
        with self._open() as stream:
            for block in self._blocks:
                raw = _without_blanks(self._load(stream, block), self._dialect)
                frame = None
                if numbers:
                    with suppress(polars.exceptions.PolarsError):  # some cell is not a number; the strings tell which
                        frame = self._parse(raw, places, polars.Float64)
                if frame is None:
                    try:
                        frame = self._parse(raw, places, polars.String)
                    except polars.exceptions.PolarsError as error:
                        reason = str(error).splitlines()[0]
                        raise DataError(f"{self.name}: from line {block.line}: {reason}") from None
                if frame.height != block.rows:
                    raise DataError(
                        f"{self.name}: from line {block.line}: {frame.height} rows, wanted {block.rows}: "
                        "the file was changed while it was read"
                    )
                frame.columns = [self.names[place] for place in places]
                yield frame.select(list(columns))

    def line(self, row: int) -> str:
        at = bisect_right(self._blocks, row, key=lambda block: block.row) - 1
        block = self._blocks[at]
        if self._lines_of[0] != at:
            with self._open() as stream:
                self._lines_of = (at, _row_lines(self._load(stream, block), self._dialect) + block.line)
        return f"line {self._lines_of[1][row - block.row]}"

    def _cut(self) -> Iterator[bytes]:
        """The file in blocks of whole rows."""
        rest, line = b"", 1
        with self._open() as stream:
            while chunk := stream.read(BLOCK):
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

    def _load(self, stream: BinaryIO, block: Block) -> bytes:
        stream.seek(block.offset)
        return _ended(stream.read(block.size))

    def _parse(self, raw: bytes, places: list[int], kind: type[polars.DataType]) -> polars.DataFrame:
        import polars

        return polars.read_csv(
            raw,
            has_header=False,
            schema={str(place): kind for place in range(len(self.names))},
            columns=places,
            separator=self._dialect.separator,
            quote_char='"' if self._dialect.quoted else None,
            null_values=list(MISSING) if kind is polars.Float64 else None,
        )

    def _name_columns(self, raw: bytes, line: int, header: bool) -> int:
        """Fill in ``names`` from the first row that is not blank; return where the data begin."""
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
        seen: set[str] = set()
        for name in filter(None, self.names):
            if name in seen:
                raise DataError(f"{self.name}: two columns are named '{name}'")
            seen.add(name)
        return min(end, len(raw))

    def _refuse_blank_cells(self, raw: bytes, line: int, rows: int) -> None:
        """In a table of one column a blank line before a row may be a missing value: nobody can tell."""
        if len(self.names) == 1 and b'"' not in raw:
            blank = np.flatnonzero(_row_lines(_ended(raw), self._dialect) != np.arange(rows))
            if len(blank):
                raise DataError(f"{self.name}: line {line + blank[0]}: is blank; write NA for a missing value")

    def _count(self, raw: bytes, line: int) -> int:
        """Rows in a block, after making sure that each has as many cells as there are columns."""
        clean = _without_blanks(_ended(raw), self._dialect)
        self._check_quotes(clean, line)
        cells = np.frombuffer(clean, dtype=np.uint8)
        parting = cells == ord(self._dialect.separator)
        ending = cells == NEWLINE
        if self._dialect.quoted and b'"' in clean:
            outside = _outside(cells)
            parting &= outside
            ending &= outside
        marks = ending[parting | ending]
        wanted = len(self.names)
        rows, over = divmod(len(marks), wanted)
        if not over:
            grid = marks.reshape(rows, wanted)
            if grid[:, -1].all() and not grid[:, :-1].any():
                return rows
        got = np.diff(np.flatnonzero(marks), prepend=-1)
        bad = int(np.flatnonzero(got != wanted)[0])
        at = line + int(_row_lines(_ended(raw), self._dialect)[bad])
        raise DataError(
            f"{self.name}: line {at}: {got[bad]} cells, wanted {wanted}{self._why(clean, got[bad], wanted)}"
        )

    def _why(self, clean: bytes, got: int, wanted: int) -> str:
        """A likely reason for ragged rows."""
        for other in ";\t,":
            if wanted == 1 and other != self._dialect.separator and other in self.names[0]:
                return (
                    f" (cells in a {self._dialect.name} file are parted by {self._dialect.separator!r}, not {other!r})"
                )
        return ""

    def _check_quotes(self, clean: bytes, line: int) -> None:
        """A quote opens at the start of a cell and closes at its end; anything else would move the cells."""
        if not self._dialect.quoted or b'"' not in clean:
            return
        cells = np.frombuffer(clean, dtype=np.uint8)
        quotes = np.flatnonzero(cells == QUOTE)
        beside = np.zeros(256, dtype=bool)
        beside[[NEWLINE, QUOTE, ord(self._dialect.separator)]] = True
        opening, closing = quotes[0::2], quotes[1::2]
        bad = opening[~(beside[cells[opening - 1]] | (opening == 0))]
        bad = np.concatenate([bad, closing[~beside[cells[np.minimum(closing + 1, len(cells) - 1)]]]])
        if len(bad):
            at = line + clean.count(b"\n", 0, int(bad.min()))
            raise DataError(f"{self.name}: line {at}: a quote inside a cell; write it twice and quote the whole cell")


def _ended(raw: bytes) -> bytes:
    """With a line end after the last row."""
    return raw if raw.endswith(b"\n") else raw + b"\n"


def _outside(cells: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which bytes stand outside quotes: those with an even number of quotes before and at them."""
    outside: NDArray[np.bool_] = np.cumsum(cells == QUOTE, dtype=np.uint8) & 1 == 0  # uint8 wraps, its parity does not
    return outside


def _ends(raw: bytes, dialect: Dialect) -> Places:
    """Where the line ends stand that end a row."""
    cells = np.frombuffer(raw, dtype=np.uint8)
    ending = cells == NEWLINE
    if dialect.quoted and b'"' in raw:
        ending &= _outside(cells)
    return np.flatnonzero(ending)


def _last_end(raw: bytes, dialect: Dialect) -> int:
    """Where the last whole row of ``raw`` ends; 0 when there is none."""
    end = raw.rfind(b"\n") + 1
    inside = dialect.quoted and raw.count(b'"', 0, end) % 2 == 1
    while end and inside:
        before = raw.rfind(b"\n", 0, end - 1) + 1
        inside ^= raw.count(b'"', before, end) % 2 == 1
        end = before
    return end


def _without_blanks(raw: bytes, dialect: Dialect) -> bytes:
    """With ``\\n`` for every line end, and without blank lines outside quotes."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    if not raw.startswith(b"\n") and b"\n\n" not in raw:
        return raw
    ends = _ends(raw, dialect) + 1
    starts = np.concatenate([[0], ends[:-1]])
    return b"".join(raw[start:end] for start, end in zip(starts, ends, strict=True) if end - start > 1)


def _row_lines(raw: bytes, dialect: Dialect) -> Places:
    """Lines before each row that is not blank."""
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n")
    ends = _ends(raw, dialect)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends[:-1] + 1])
    newlines = np.flatnonzero(np.frombuffer(raw, dtype=np.uint8) == NEWLINE)
    return np.searchsorted(newlines, starts[ends > starts]).astype(np.int64)
