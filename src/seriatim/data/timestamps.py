"""Reads a column of time stamps: dates in their many forms, and plain numbers."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast, final

import numpy as np
from numpy.typing import NDArray

from seriatim.data.cell_values import CellError, quoted
from seriatim.data.named_zone import NamedZone
from seriatim.data.rows import MISSING
from seriatim.data.stamp_forms import DateForm, Form, NamedForm, NumberForm, PatternForm
from seriatim.encoding.stamp_formats import ISO, DateTimes
from seriatim.encoding.stamp_texts import DATES, TimeStamps
from seriatim.encoding.zones import Zone

if TYPE_CHECKING:
    import polars


@final
class StampReader:
    """Reads the chunks of a column; ``finish`` returns the stamps once the form is clear."""

    def __init__(self, date_format: str | None = None, *, is_text: bool = True) -> None:
        """``is_text``: the source holds nothing but texts, as CSV does, so numbers are written without quotes."""
        self._date_format, self._is_text = date_format, is_text
        self._forms: list[Form] = []
        self._temporal: list[NDArray[Any]] = []
        self._zone: Zone | None = None
        self._rows = 0

    def read(self, cells: polars.Series) -> None:
        """Read a chunk. Raises ``CellError`` with a row of the chunk."""
        import polars

        if isinstance(cells.dtype, polars.Categorical | polars.Enum):
            cells = cells.cast(polars.String)
        if self._date_format and (cells.dtype == polars.String or cells.dtype.is_numeric()):
            cells = cells.cast(polars.String)
        if cells.dtype == polars.String:
            cells = cells.str.strip_chars()
            missing = cells.is_null() | cells.is_in(["", *MISSING])
        else:
            missing = cells.is_null() | (cells.is_nan() if cells.dtype.is_float() else False)
        if missing.any():
            raise CellError(int(missing.arg_max() or 0), "no time stamp")
        if cells.dtype.is_temporal() and cells.dtype not in (polars.Time, polars.Duration):
            if isinstance(cells.dtype, polars.Datetime) and cells.dtype.time_zone:
                self._zone = NamedZone(cells.dtype.time_zone)
                cells = cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
            self._temporal.append(cells.cast(polars.Datetime("us")).to_numpy())
        elif cells.dtype == polars.String or cells.dtype.is_numeric():
            self._read_forms(cells)
        else:
            raise CellError(0, f"{quoted(cells[0])} is not a date or a number")
        self._rows += len(cells)

    def finish(self) -> TimeStamps:
        """Return all stamps. Raises ``CellError`` with a row of the column if a date is ambiguous."""
        if self._temporal:
            stamps = np.concatenate(self._temporal)
            local = stamps if self._zone is None else self._zone.to_local(stamps)
            has_clock = bool((local != local.astype("datetime64[D]")).any())
            clock = 3 if has_clock or self._zone is not None else 0
            values = dict(vars(ISO)) | {"clock": clock, "suffix": "+00:00", "zone": self._zone}
            return TimeStamps(stamps, DateTimes(**values))
        results = [form.finish() for form in self._forms]
        for other in results[1:]:
            differs = np.flatnonzero(other.values != results[0].values)
            if len(differs):
                row = int(differs[0])
                first, second = (_date_text(result.values[row]) for result in (results[0], other))
                raise CellError(
                    row,
                    f"'{results[0].format.write(results[0].values[row])}' may be {first} or {second}: name the form of "
                    "the dates, such as --date-format %d/%m/%Y or --date-format %m/%d/%Y",
                )
        return results[0]

    def _read_forms(self, cells: polars.Series) -> None:
        import polars

        if not self._forms:
            self._forms = self._likely_forms(cells)
        failures = [form.read(cells) for form in self._forms]
        passed = [form for form, failure in zip(self._forms, failures, strict=True) if failure is None]
        if passed:
            self._forms = passed
            return
        row = max((failure for failure in failures if failure is not None), default=0)
        if self._date_format:
            raise CellError(row, f"{quoted(cells[row])} does not have the form {self._date_format} (--date-format)")
        is_number = cells[row] is not None and _is_number(cells[row])
        if any(isinstance(form, NumberForm) for form in self._forms):
            raise CellError(row, f"{quoted(cells[row])} is not a number, as the time stamps above are")
        if is_number and self._rows + row and cells.dtype == polars.String:
            raise CellError(row, "dates and plain numbers are mixed")
        if row and any(re.match(pattern, cells[row]) for pattern in DATES.values()):
            raise CellError(
                row,
                f"{quoted(cells[row])} does not fit the dates above; --date-format names their form, such as %d/%m/%Y",
            )
        raise CellError(row, f"{quoted(cells[row])} is not a date or a number")

    def _likely_forms(self, cells: polars.Series) -> list[Form]:
        """Return the forms that the first cell has."""
        import polars

        if self._date_format:
            return [PatternForm(self._date_format)]
        if cells.dtype != polars.String:
            return [NumberForm(False)]
        first = cells[0]
        if _is_number(first):
            return [NumberForm(not self._is_text)]
        dates: list[Form] = [DateForm(order) for order, pattern in DATES.items() if re.match(pattern, first)]
        return dates or [NamedForm()]


def _is_number(text: object) -> bool:
    try:
        float(cast("str", text))
    except (TypeError, ValueError):
        return False
    return True


def _date_text(stamp: Any) -> str:
    moment: datetime = np.datetime64(stamp, "us").item()
    return f"{moment:%Y-%m-%d}"
