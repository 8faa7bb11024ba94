"""Interface to the rows of a table, whatever their source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from seriatim.errors import UsageError, nearest

if TYPE_CHECKING:
    import polars

MISSING = ("NA", "N/A", "NaN", "nan", "null", "None", "?")
"""Words that mean "no value" in a numeric column; an empty cell does too."""


class Rows(ABC):
    """Rows of a table, which can be read repeatedly and in chunks."""

    name: str
    """Name of the file, for messages."""
    names: list[str]
    """Names of all columns."""
    rows: int
    is_text: bool = False
    """Whether all cells are texts, as in CSV: a number then needs no quotes to be one."""

    @abstractmethod
    def chunks(self, columns: Sequence[str], *, numbers: bool) -> Iterator[polars.DataFrame]:
        """Yield the rows in order, as frames with ``columns``.

        With ``numbers``, the cells of a text file are Float64 with ``MISSING`` as null if all cells of the frame are
        numbers. Otherwise they are strings with empty cells as null.
        """

    @abstractmethod
    def line(self, row: int) -> str:
        """Return the location of row ``row`` (from 0), for messages: ``line 17`` in text files, else ``row 17``."""

    def find_column(self, column: str) -> str:
        """Return the name of a column; blanks around it do not matter.

        Raises ``UsageError`` with the nearest name if there is no such column.
        """
        if column in self.names:
            return column
        stripped = [name for name in self.names if name.strip() == column.strip()]
        if len(stripped) == 1:
            return stripped[0]
        hint = nearest(column, self.names)
        if "did you mean" not in hint and len(self.names) > 12:
            hint = f" (known: {', '.join(self.names[:12])}, … {len(self.names)} in all)"
        if column.isdigit():
            hint += "; columns go by number only without a header (--no-header)"
        with_comma = next((name for name in self.names if "," in name and column.strip() in name.split(",")), None)
        if with_comma is not None:
            hint = f'; put a name with a comma in double quotes: "{with_comma}"'
        raise UsageError(f"{self.name}: no column '{column}'{hint}")
