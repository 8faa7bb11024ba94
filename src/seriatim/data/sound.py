"""Reads recordings as log-mel frames, all at one sample rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, final

import numpy as np

from seriatim.data.files import check_file, content_hash
from seriatim.data.tables import Table
from seriatim.encoding.sound import LogMel, Samples
from seriatim.encoding.speech import Frames, Speech
from seriatim.errors import DataError, UsageError

SUFFIXES: Final = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff")
"""Extensions of a single recording, in contrast to a table of recordings."""
UNKNOWN_LENGTH: Final = 0x7FFF_0000
"""A program that writes to a pipe does not know the length, and puts this number or a larger one into the header."""


@final
class SoundReader:
    """Reads WAV, FLAC and other formats of libsndfile, mixed to one channel, as log-mel frames ``[T, mels]``.

    The frames are in nats: the codec scales them, so that training can change them first.

    ``rate``, ``features`` or else the first recording sets the sample rate. With ``rate``, recordings at other rates
    are resampled; without it they are refused. ``is_normalised`` and ``speech`` are as in ``LogMel``.
    """

    def __init__(
        self,
        frame: float = 25.0,
        hop: float = 10.0,
        mels: int = 40,
        *,
        rate: int | None = None,
        features: LogMel | None = None,
        is_normalised: bool = False,
        speech: Speech | None = None,
    ) -> None:
        self._settings, self._is_normalised, self._speech = (frame, hop, mels), is_normalised, speech
        self._resample = rate is not None
        self._reference, self._advice = "the model reads", "train with --sample-rate to read recordings of any rate"
        self.features = features
        """None until the rate is known."""
        if rate is not None and features is None:
            self._set_rate(rate)

    def read_column(self, table: Table, column: str) -> tuple[list[Frames], list[str]]:
        """Read the recording of each row. A path is absolute or relative to the table's folder.

        Returns the frames and a content hash of each recording.
        Raises ``DataError`` with the row of the first file that is missing, damaged, empty, or at another rate.
        """
        folder = Path(table.name).parent
        recordings, hashes = [], []
        for row, name in enumerate(table.text(column)):
            try:
                frames, hash = self.read(folder / name)
            except DataError as error:
                raise table.fault(row, column, str(error)) from None
            recordings.append(frames)
            hashes.append(hash)
        return recordings, hashes

    def read(self, path: Path) -> tuple[Frames, str]:
        """Read one recording: its frames, and a hash of its content. Raises ``DataError`` as ``read_column`` does."""
        samples, rate = read_sound(path)
        return self._extract(path, samples, rate), content_hash(samples, rate)

    def _extract(self, path: Path, samples: Samples, rate: int) -> Frames:
        if self.features is None:
            self._set_rate(rate)
            self._reference, self._advice = f"{path} has", f"--sample-rate {rate} resamples"
        assert self.features is not None
        target_rate = self.features.rate
        if rate != target_rate and not self._resample:
            raise DataError(
                f"{path} has {rate} samples per second, but {self._reference} {target_rate}; {self._advice}"
            )
        return self.features.frames(resample(samples, rate, target_rate))

    def _set_rate(self, rate: int) -> None:
        try:
            self.features = LogMel(rate, *self._settings, is_normalised=self._is_normalised, speech=self._speech)
        except ValueError as error:
            raise UsageError(f"frame, hop, mels: {error}") from None


def read_sound(path: Path) -> tuple[Samples, int]:
    """Return samples ``[N]`` float32 (the mean of the channels) and the sample rate.

    Raises ``DataError`` for a file that is missing, empty, truncated, not a sound file, or without samples, and for a
    sample that is not finite.
    """
    import soundfile  # optional dependency

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
    """Refuse a truncated WAV file: libsndfile would read the rest of it without an error."""
    with path.open("rb") as file:
        head = file.read(8)
    size, expected = path.stat().st_size, 8 + int.from_bytes(head[4:], "little")
    # Some programs count the padding of an odd last byte.
    if head.startswith(b"RIFF") and size + 1 < expected < UNKNOWN_LENGTH:
        raise DataError(f"{path}: truncated: {size:,} bytes, but its header says {expected:,}")


def resample(samples: Samples, rate: int, target_rate: int) -> Samples:
    """Resample from ``rate`` to ``target_rate`` samples per second, with an anti-aliasing filter."""
    if rate == target_rate:
        return samples
    from scipy.signal import resample_poly  # slow to import

    common = math.gcd(rate, target_rate)
    output: Samples = resample_poly(samples, target_rate // common, rate // common).astype(np.float32)
    return output
