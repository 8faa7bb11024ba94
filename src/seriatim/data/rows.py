"""Where the rows of a table come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seriatim.errors import UsageError, nearest

if TYPE_CHECKING:
    import polars

MISSING = ("NA", "N/A", "NaN", "nan", "null", "None", "?")
"""Words that mean "no value" in a numeric column, beside an empty cell."""


class Rows(ABC):
    """A table's rows, which can be gone through as often as needed, some at a time."""

    name: str
    """The file, for messages."""
    names: list[str]
    """Every column."""
    rows: int

    @abstractmethod
    def chunks(self, columns: Sequence[str], *, numbers: bool) -> Iterator[polars.DataFrame]:
        """The rows in order, as frames of ``columns``.

        With ``numbers`` a text file's cells come as Float64 with ``MISSING`` as null, wherever all cells of a frame
        allow it; otherwise as strings with empty cells as null.
        """

    @abstractmethod
    def line(self, row: int) -> str:
        """How a person finds row ``row`` (from 0): ``line 17`` in a text file, ``row 17`` elsewhere."""

    def check_column(self, column: str) -> None:
        """Raise ``UsageError`` when there is no such column, with the nearest one."""
        if column in self.names:
            return
        hint = nearest(column, self.names)
        if "did you mean" not in hint and len(self.names) > 12:
            hint = f" (known: {', '.join(self.names[:12])}, … {len(self.names)} in all)"
        if column.isdigit():
            hint += "; columns go by number only without a header (--no-header)"
        raise UsageError(f"{self.name}: no column '{column}'{hint}")
