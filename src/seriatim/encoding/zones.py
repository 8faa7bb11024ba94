"""Time zones of a column of stamps: converts instants (UTC) to local clock time and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray

Stamps = NDArray[Any]
"""``datetime64[us]`` ``[N]``."""

MINUTE: Final = 60_000_000
"""Microseconds."""


class Zone(ABC):
    """A time zone."""

    @abstractmethod
    def to_local(self, instants: Stamps) -> Stamps:
        """Return the local clock time of each instant."""

    @abstractmethod
    def to_instants(self, local: Stamps) -> Stamps:
        """Return the instant of each local clock time; of a repeated hour the first."""

    @final
    def offset(self, instant: Any) -> int:
        """Minutes by which local time is ahead of UTC at ``instant``."""
        instants = np.asarray([instant], dtype="datetime64[us]")
        return int((self.to_local(instants) - instants).astype(np.int64)[0]) // MINUTE


@final
@dataclass(frozen=True)
class FixedOffset(Zone):
    """Local time is always ``minutes`` ahead of UTC."""

    minutes: int

    def to_local(self, instants: Stamps) -> Stamps:
        return instants + np.timedelta64(self.minutes * MINUTE, "us")

    def to_instants(self, local: Stamps) -> Stamps:
        return local - np.timedelta64(self.minutes * MINUTE, "us")


@final
class ObservedOffsets(Zone):
    """A zone without a name: each stamp has an offset, and the offset in between is the last one."""

    def __init__(self, instants: Stamps, minutes: NDArray[np.int64]) -> None:
        self._instants, first = np.unique(instants, return_index=True)
        self._minutes = minutes[first]

    def to_local(self, instants: Stamps) -> Stamps:
        return cast("Stamps", instants + (self._minutes_at(instants) * MINUTE).astype("timedelta64[us]"))

    def to_instants(self, local: Stamps) -> Stamps:
        result = local - np.timedelta64(int(self._minutes[-1]) * MINUTE, "us")
        for minutes in np.unique(self._minutes).tolist():
            instants = local - np.timedelta64(minutes * MINUTE, "us")
            result = np.where(self._minutes_at(instants) == minutes, instants, result)
        return result

    def _minutes_at(self, instants: Stamps) -> NDArray[np.int64]:
        last = np.searchsorted(self._instants, instants, side="right") - 1
        return self._minutes[np.maximum(last, 0)]
