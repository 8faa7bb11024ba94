"""Makes the log-mel frames of different speakers, rooms and microphones similar.

    ends       frames before the first and after the last loud frame are cut             Rabiner & Sambur 1975
    floor      values far below the loudest value of the recording are raised to a floor
    scale      each band loses its mean over the recording (Atal 1974), and all values are divided by one deviation

The ends and the floor come first, because the mean of a recording with long pauses is the mean of its noise. One
deviation serves all bands: a deviation of each band by itself would make quiet bands, which are mostly noise, as large
as the loud ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]

SMALLEST_DEVIATION: Final = np.float32(0.1)
"""Smallest deviation of a recording, in nats."""

LARGEST: Final = 1_000_000
"""Largest setting, so that sums stay finite."""


@dataclass(frozen=True, kw_only=True)
class Speech:
    """How the frames of a recording of speech are scaled. The defaults are for new models; docs/defaults.md has the
    experiments.

    >>> frames = np.zeros((50, 2), np.float32)
    >>> frames[20:30] = 12.0, 9.0
    >>> Speech(loud=5, margin=2, floor=7).trimmed(frames).shape
    (14, 2)
    """

    loud: float = 5.0
    """A frame is loud if its loudest band is at most this many nats below the loudest value of the recording."""
    margin: int = 2
    """The number of frames that are kept before the first and after the last loud frame."""
    floor: float = 7.0
    """Nats from the loudest value of the recording down to the floor."""

    def __post_init__(self) -> None:
        """Raises ``ValueError`` for a setting of another type or outside its range."""
        for field in fields(self):
            value = getattr(self, field.name)
            is_number = type(value) is int or (type(value) is float and field.name != "margin")
            if not is_number or not 0 <= value <= LARGEST:
                raise ValueError(f"speech: '{field.name}' is {value!r:.20}")

    def trimmed(self, frames: Frames) -> Frames:
        """Return frames [T, M] in nats without quiet ends: at least one frame, if there is one."""
        if not len(frames):
            return frames
        loudest = frames.max(1)
        loud = np.flatnonzero(loudest >= loudest.max() - self.loud)
        return frames[max(0, loud[0] - self.margin) : loud[-1] + 1 + self.margin]

    def scaled(self, frames: Frames) -> Frames:
        """Return frames [T, M] with the floor, the mean 0 in each band, and the deviation 1 of all values."""
        if not len(frames):
            return frames
        limited = np.maximum(frames, frames.max() - np.float32(self.floor))
        centred = limited - limited.mean(0)
        scaled: Frames = (centred / np.maximum(centred.std(), SMALLEST_DEVIATION)).astype(np.float32)
        return scaled

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Speech:
        """Rebuild the settings. Raises ``ValueError`` if ``stored`` is damaged."""
        names = {field.name for field in fields(cls)}
        if not isinstance(stored, Mapping) or set(stored) != names:
            raise ValueError(f"speech: got {stored!r:.60}, wanted the settings {', '.join(sorted(names))}")
        return cls(**stored)
