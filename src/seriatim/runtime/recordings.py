"""Reads recordings from WAV files with Python's own library. A training also reads other formats, with libsndfile."""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError, UsageError, nearest

Samples = NDArray[np.float32]

UNKNOWN_LENGTH: Final = 0x7FFF_0000
"""A program that writes to a pipe puts this number of bytes or a larger one into the header."""


def read_column(name: str, table: Sequence[Mapping[str, Any]], column: str, rate: int) -> list[Samples]:
    """Read the recording of each row of a table. A path is absolute or relative to the folder of the table ``name``.

    Raises ``UsageError`` without the ``column``, and ``DataError`` with the row of the first file that is no WAV file
    of ``rate`` samples per second.
    """
    recordings = []
    for number, row in enumerate(table, 1):
        if column not in row:
            raise UsageError(f"{name}: no column '{column}'{nearest(column, map(str, row))}")
        if not isinstance(row[column], str) or not row[column]:
            raise DataError(f"{name} row {number}: column '{column}' has {row[column]!r}, wanted a path")
        try:
            recordings.append(read_recording(Path(name).parent / row[column], rate))
        except DataError as error:
            raise DataError(f"{name} row {number}: column '{column}': {error}") from None
    return recordings


def read_recording(path: Path, rate: int) -> Samples:
    """Return the samples [N] of a WAV file, the mean of its channels.

    The file has whole numbers of 8, 16, 24 or 32 bits, at ``rate`` samples per second. Raises ``DataError`` for any
    other, and for one that is missing, truncated or empty.
    """
    if path.suffix.lower() != ".wav":
        raise DataError(f"{path}: a runtime folder reads .wav files; convert it, or call predict with samples")
    try:
        with path.open("rb") as file, wave.open(file) as recording:
            channels, width, own_rate = recording.getnchannels(), recording.getsampwidth(), recording.getframerate()
            expected = recording.getnframes() * channels * width
            content = recording.readframes(recording.getnframes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends early"
        raise DataError(f"{path}: not a WAV file of whole numbers ({reason}); call predict with samples") from None
    if width not in (1, 2, 3, 4):
        raise DataError(f"{path}: its numbers have {8 * width} bits, wanted 8, 16, 24 or 32")
    if own_rate != rate:
        raise DataError(f"{path} has {own_rate} samples per second, but the model reads {rate}")
    if len(content) < expected < UNKNOWN_LENGTH:
        raise DataError(f"{path}: truncated: {len(content):,} bytes of samples, but its header says {expected:,}")
    values = _numbers(content[: len(content) // (channels * width) * channels * width], width)
    if not len(values):
        raise DataError(f"{path}: holds no samples")
    samples: Samples = values.reshape(-1, channels).mean(axis=1)
    return samples


def _numbers(content: bytes, width: int) -> Samples:
    """Return whole numbers of ``width`` bytes as numbers from -1 to 1; those of one byte have no sign."""
    if width == 1:
        whole = np.frombuffer(content, np.uint8).astype(np.float32) - np.float32(128)
    elif width == 3:  # as the upper bytes of four
        padded = np.zeros((len(content) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        whole, width = padded.view("<i4").reshape(-1).astype(np.float32), 4
    else:
        whole = np.frombuffer(content, f"<i{width}").astype(np.float32)
    scaled: Samples = whole / np.float32(1 << (8 * width - 1))
    return scaled
