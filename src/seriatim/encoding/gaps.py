"""Finds and fills gaps in a time series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.calendar import Calendar, find_calendar
from seriatim.encoding.stamp_formats import ISO, StampFormat
from seriatim.errors import DataError

Values = NDArray[np.float64]

MAX_GROWTH = 10
"""Filling gaps may make a series at most this many times longer, so that one wrong stamp cannot exhaust memory."""


@final
@dataclass
class Finding:
    """Counts one kind of problem: the number of series and of occurrences, and the first example."""

    series: int = 0
    times: int = 0
    example: str = ""
    name: str = ""

    def add(self, times: int, example: str, name: str) -> None:
        """Count a series ``name`` in which the problem occurs ``times`` times."""
        if not self.series:
            self.example, self.name = example, name
        self.series += 1
        self.times += times


@final
@dataclass
class Findings:
    """Collects the problems of all series and reports each kind in one line."""

    unsorted: Finding = field(default_factory=Finding)
    gaps: Finding = field(default_factory=Finding)
    irregular: Finding = field(default_factory=Finding)
    filled: Finding = field(default_factory=Finding)
    future: Finding = field(default_factory=Finding)
    inserted: int = 0

    def notes(self, missing: str, total: int) -> list[str]:
        """Return lines for the user; ``total`` is the number of series."""

        def describe(finding: Finding, problem: str) -> str:
            where = f" in {finding.series} of {total} series" if total > 1 else ""
            series = f" in series '{finding.name}'" if total > 1 else ""
            return f"{problem}{where}, the first {finding.example}{series}"

        notes = []
        if self.unsorted.series:
            notes.append(f"{describe(self.unsorted, 'rows were not in order of time')}; they were sorted")
        if self.gaps.series:
            stamps = "time stamp is" if self.gaps.times == 1 else "time stamps are"
            remark = "; the rows are used unchanged" if missing == "error" else ""
            notes.append(f"{describe(self.gaps, f'{self.gaps.times} {stamps} missing')}{remark}")
        if self.irregular.series:
            notes.append(describe(self.irregular, "time stamps are irregular"))
        if self.filled.series:
            how = "interpolated, and masked" if missing == "mask" else "interpolated"
            values = "value was" if self.filled.times == 1 else "values were"
            rows = f" ({self.inserted} rows inserted)" if self.inserted else ""
            notes.append(f"{self.filled.times} missing {values} {how}{rows}")
        if self.future.series:
            rows = "row at the end has" if self.future.times == 1 else "rows at the end have"
            where = f", in {self.future.series} of {total} series" if total > 1 else ""
            notes.append(f"{self.future.times} {rows} no target and were left out{where}")
        return notes


def inspect(name: str, stamps: NDArray[Any] | None, findings: Findings, format: StampFormat = ISO) -> Calendar | None:
    """Return the calendar of a series' sorted ``stamps``; add gaps and irregular steps to ``findings``."""
    if stamps is None or len(stamps) < 2:
        return None
    calendar = find_calendar(stamps, format.zone)
    if calendar is None:
        steps = np.diff(stamps)
        at = int((steps != steps[0]).argmax())
        findings.irregular.add(1, f"from {format.write(stamps[at])} to {format.write(stamps[at + 1])}", name)
        return None
    positions = calendar.positions(stamps)
    assert positions is not None  # find_calendar checked this
    missing = int(positions[-1]) + 1 - len(positions)
    if missing:
        at = int((positions[1:] - positions[:-1] > 1).argmax())
        first = calendar.stamps(stamps[0], positions[at : at + 1] + 1)[0]
        findings.gaps.add(missing, f"{format.write(first)} where the step is {calendar}", name)
    return calendar


def fill(
    name: str, values: Values, stamps: NDArray[Any] | None, calendar: Calendar | None, findings: Findings
) -> tuple[Values, NDArray[np.bool_], NDArray[Any] | None]:
    """Return values ``[T', C]`` without NaN, a mask of observed values, and the stamps.

    A row is inserted for each stamp of ``calendar`` that ``stamps`` lacks. Gaps inside are interpolated linearly over
    time; at the ends the nearest value is used. Raises ``DataError`` for a channel without any value, or if the
    series would become more than ten times longer.
    """
    rows = len(values)
    at = np.arange(rows, dtype=np.float64) if stamps is None else stamps.astype(np.float64)
    if calendar is not None and stamps is not None:
        positions = calendar.positions(stamps)
        assert positions is not None  # find_calendar checked this
        length = int(positions[-1]) + 1
        if length > MAX_GROWTH * rows:
            raise DataError(
                f"series '{name}': filling its gaps would turn {rows} rows into {length}; the step is {calendar}"
            )
        at = np.arange(length, dtype=np.float64)
        if length > rows:
            wide = np.full((length, values.shape[1]), np.nan)
            wide[positions] = values
            values, stamps = wide, calendar.stamps(stamps[0], np.arange(length))
    observed = np.isfinite(values)
    if not observed.all():
        empty = np.flatnonzero(~observed.any(axis=0))
        if len(empty):
            raise DataError(f"series '{name}': channel {empty[0] + 1} holds no value")
        values = values.copy()
        for channel, is_observed in zip(values.T, observed.T, strict=True):
            channel[~is_observed] = np.interp(at[~is_observed], at[is_observed], channel[is_observed])
        findings.filled.add(int((~observed).sum()), "", name)
        findings.inserted += len(values) - rows
    return values, observed, stamps
