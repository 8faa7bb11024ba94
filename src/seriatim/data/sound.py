"""Recordings, named in a table or one by itself → log-mel frames, all at one rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, final

import numpy as np

from seriatim.data.files import check_file, content_hash
from seriatim.data.tables import Table
from seriatim.encoding.sound import Frames, LogMel, Samples
from seriatim.errors import DataError, UsageError

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
"""Of a file that is itself a recording, not a table of recordings."""
UNKNOWN_LENGTH: Final = 0x7FFF_0000
"""Writers that cannot go back to the header, as into a pipe, tell of this many bytes or more."""


@final
class SoundReader:
    """Reads WAV, FLAC and whatever else libsndfile reads, mixed down to one channel, as log-mel frames ``[T, mels]``.

    The first recording decides the rate, unless ``rate`` or ``features`` does; with ``resample`` those at another
    rate are resampled, otherwise they are refused.
    """

    def __init__(
        self,
        frame: float = 25.0,
        hop: float = 10.0,
        mels: int = 40,
        *,
        rate: int | None = None,
        features: LogMel | None = None,
    ) -> None:
        self._settings = (frame, hop, mels)
        self._resample = rate is not None
        self._like, self._cure = "the model reads", "train with --sample-rate to read recordings of any rate"
        self.features = features
        """Set once the rate is known."""
        if rate is not None and features is None:
            self._decide(rate)

    def read_column(self, table: Table, column: str) -> tuple[list[Frames], list[str]]:
        """Read the recording that each row names, by a path that is absolute or relative to the table's folder.

        Returns their frames, and a hash of what stands in each.
        Raises ``DataError`` with the row of the first file that is missing, broken, empty, or of another rate.
        """
        here = Path(table.name).parent
        found, hashes = [], []
        for row, name in enumerate(table.text(column)):
            try:
                frames, hash = self.read(here / name)
            except DataError as error:
                raise table.fault(row, column, str(error)) from None
            found.append(frames)
            hashes.append(hash)
        return found, hashes

    def read(self, path: Path) -> tuple[Frames, str]:
        """Read one recording: its frames, and a hash of its content. Raises ``DataError`` as ``read_column`` does."""
        samples, rate = read_sound(path)
        return self._hear(path, samples, rate), content_hash(samples, rate)

    def _hear(self, path: Path, samples: Samples, rate: int) -> Frames:
        if self.features is None:
            self._decide(rate)
            self._like, self._cure = f"{path} has", f"--sample-rate {rate} resamples"
        assert self.features is not None
        wanted = self.features.rate
        if rate != wanted and not self._resample:
            raise DataError(f"{path} has {rate} samples per second, but {self._like} {wanted}; {self._cure}")
        return self.features.transform(resampled(samples, rate, wanted))

    def _decide(self, rate: int) -> None:
        try:
            self.features = LogMel(rate, *self._settings)
        except ValueError as error:
            raise UsageError(f"frame, hop, mels: {error}") from None


def read_sound(path: Path) -> tuple[Samples, int]:
    """Samples ``[N]`` float32, the mean of the channels, and how many there are per second.

    Raises ``DataError`` for a file that is missing, empty, no sound file, cut off, without a sample, or with one that
    is not finite.
    """
    import soundfile  # only those who listen need it

    check_file(path)
    _check_length(path)
    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise DataError(f"{path}: not a sound file that can be read ({reason})") from None
    if not len(channels):
        raise DataError(f"{path}: holds no samples")
    samples: Samples = channels.mean(axis=1)
    if not np.isfinite(samples).all():
        raise DataError(f"{path}: sample {int((~np.isfinite(samples)).argmax()) + 1} is not finite")
    return samples, int(rate)


def _check_length(path: Path) -> None:
    """Refuse a WAV file that ends before its header says: libsndfile reads what is left of it without a word."""
    with path.open("rb") as file:
        head = file.read(8)
    size, told = path.stat().st_size, 8 + int.from_bytes(head[4:], "little")
    if head.startswith(b"RIFF") and size + 1 < told < UNKNOWN_LENGTH:  # some writers count a last odd byte's padding
        raise DataError(f"{path}: truncated: {size:,} bytes, but its header tells of {told:,}")


def resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    """Samples at ``rate`` per second → at ``wanted``, through a filter that keeps out what the new rate cannot hold."""
    if rate == wanted:
        return samples
    from scipy.signal import resample_poly  # slow to import

    common = math.gcd(rate, wanted)
    found: Samples = resample_poly(samples, wanted // common, rate // common).astype(np.float32)
    return found
