"""The series that a forecaster reads, up to the origin of its forecast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.calendar import find_calendar
from seriatim.encoding.gaps import Findings, fill
from seriatim.encoding.stamp_texts import TimeStamps
from seriatim.errors import DataError
from seriatim.runtime.stamps import read_stamps

Array = NDArray[Any]

LARGEST: Final = 1e100


@dataclass(frozen=True)
class History:
    """A series up to the origin of a forecast."""

    name: str
    values: Array
    """[T, C]"""
    observed: Array
    """[T, C], whether a value was there before gaps were filled."""
    is_shown: tuple[bool, ...]
    """For each target, whether its last observed value is the last step. Its forecast begins there alone."""
    times: TimeStamps | None = None
    """[T]"""


@final
@dataclass(frozen=True)
class HistoryReader:
    """Reads the rows of ``Forecaster.predict``. Raises ``DataError`` for one that the model cannot read."""

    channels: int
    targets: int
    """The first of the channels."""
    lookback: int
    fills_gaps: bool
    """Whether missing values, and missing rows of a regular calendar, are interpolated. Otherwise they are refused."""

    def read(self, number: int, row: Any) -> Iterator[History]:
        """Yield a history for each row at which some target ends, of the row ``number`` of ``predict``."""
        name, values, times = str(number), row, None
        if isinstance(row, tuple) and len(row) in (2, 3) and isinstance(row[0], str):
            name, values, times = row if len(row) == 3 else (*row, None)
        try:
            array = np.array(values, np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"series '{name}': not numbers ({error})") from None
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != self.channels:
            raise DataError(f"series '{name}': got shape {array.shape}, but the model reads {self.channels} channels")
        if times is not None and not isinstance(times, TimeStamps):
            times = read_stamps(f"series '{name}'", list(times))
        if times is not None and len(times.values) != len(array):
            raise DataError(f"series '{name}': {len(times.values)} time stamps for {len(array)} rows")
        if times is not None and (times.values[1:] <= times.values[:-1]).any():
            raise DataError(f"series '{name}': its time stamps do not rise")
        if (np.abs(array) > LARGEST).any():
            raise DataError(f"series '{name}': holds an infinity or a number above {LARGEST:g}")
        observed = ~np.isnan(array)
        if self.fills_gaps:
            array, observed, times = self._without_gaps(name, array, times)
        elif not observed.all():
            raise DataError(f"series '{name}': {int((~observed).sum())} missing values, but the model refuses them")
        ends = [len(array) - int(channel.argmax()) for channel in observed[::-1, : self.targets].T]
        for end in sorted(set(ends)):
            if end < self.lookback:
                raise DataError(f"series '{name}': {end} rows, wanted at least the lookback of {self.lookback}")
            until = None if times is None else TimeStamps(times.values[:end], times.format)
            yield History(name, array[:end], observed[:end], tuple(own == end for own in ends), until)

    def _without_gaps(
        self, name: str, values: Array, times: TimeStamps | None
    ) -> tuple[Array, Array, TimeStamps | None]:
        """Leave out the rows after the last target, insert those that a regular calendar has, and interpolate.

        Returns the values, which of them were observed, and the stamps.
        """
        has_target: Array = np.asarray(~np.isnan(values[:, : self.targets]).all(1))
        end = len(values) - int(has_target[::-1].argmax())
        if times is None:
            filled, observed, _ = fill(name, values[:end], None, None, Findings())
            return filled, observed, None
        calendar = find_calendar(times.values[:end], times.format.zone)
        filled, observed, stamps = fill(name, values[:end], times.values[:end], calendar, Findings())
        assert stamps is not None
        return filled, observed, TimeStamps(stamps, times.format)
