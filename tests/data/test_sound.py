"""Tests of recordings in a table: mixing, sample rates, and the row in error messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from seriatim.data.sequence_collection import Sequences
from seriatim.data.sequences import read_sequences
from seriatim.data.sound import SoundReader, read_sound, resample
from seriatim.errors import DataError, UsageError


def tone(frequency: float, rate: int, seconds: float = 0.2) -> np.ndarray[Any, Any]:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "low.wav", tone(300, 8000), 8000)
    soundfile.write(tmp_path / "high.flac", tone(900, 8000), 8000)
    soundfile.write(tmp_path / "fast.wav", tone(300, 16000), 16000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan]), 8000, subtype="FLOAT")
    (tmp_path / "junk.wav").write_text("this is no sound")
    (tmp_path / "empty.wav").write_text("")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "low.wav").read_bytes()[:2000])
    return tmp_path


def read(folder: Path, *names: str, reader: SoundReader | None = None) -> Sequences:
    table = folder / "table.csv"
    table.write_text("file,label\n" + "".join(f"{name},x\n" for name in names))
    return read_sequences(table, sound="file", label="label", reader=reader)


def test_paths_are_relative_to_the_table_or_absolute(folder: Path) -> None:
    result = read(folder, "low.wav", "high.flac", str(folder / "low.wav"))
    assert result.channels == 40 and [len(frames) for frames in result.inputs] == [18] * 3
    np.testing.assert_array_equal(result.arrays[0], result.arrays[2])
    assert result.hashes is not None and result.hashes[0] == result.hashes[2] != result.hashes[1]
    assert result.content[0] == result.hashes, "the hash must not depend on the last bit of a logarithm"
    assert result.take([1]).hashes == result.hashes[1:2]


def test_channels_are_mixed(folder: Path) -> None:
    stereo = np.stack([tone(300, 8000), tone(900, 8000)], axis=1)
    soundfile.write(folder / "both.wav", stereo, 8000, subtype="FLOAT")
    samples, rate = read_sound(folder / "both.wav")
    assert rate == 8000 and samples.shape == (1600,)
    np.testing.assert_allclose(samples, stereo.mean(1), atol=1e-6)


def test_resampling_keeps_a_tone(folder: Path) -> None:
    slow = resample(tone(300, 44100).astype(np.float32), 44100, 8000)
    assert slow.dtype == np.float32 and len(slow) == 1600
    np.testing.assert_allclose(slow[200:-200], tone(300, 8000)[200:-200], atol=2e-3)
    result = read(folder, "low.wav", "fast.wav", reader=SoundReader(rate=8000))
    np.testing.assert_allclose(result.arrays[0][3:-3, 5:15], result.arrays[1][3:-3, 5:15], atol=0.3)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("low.wav", "gone.wav"), "line 3, column 'file': {0}/gone.wav: no such file"),
        (("junk.wav",), "line 2, column 'file': {0}/junk.wav: not a sound file that can be read (Format not"),
        (("empty.wav",), "{0}/empty.wav: is empty"),
        (("none.wav",), "{0}/none.wav: holds no samples"),
        (("nan.wav",), "{0}/nan.wav: sample 2 is not finite"),
        (("cut.wav",), "{0}/cut.wav: truncated: 2,000 bytes, but its header says 3,244"),
        (("",), "line 2, column 'file': no text"),
        (
            ("low.wav", "fast.wav"),
            "line 3, column 'file': {0}/fast.wav has 16000 samples per second, but {0}/low.wav has 8000; "
            "--sample-rate 8000 resamples",
        ),
    ],
)
def test_bad_recordings_are_refused(folder: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError) as refused:
        read(folder, *names)
    assert message.format(folder) in str(refused.value)


def test_recording_of_unknown_length_is_read_to_end(folder: Path) -> None:
    """A file that was written to a pipe has no length in its header."""
    whole = (folder / "low.wav").read_bytes()
    for declared_size in (0xFFFFFFFF, 0x7FFFFFFF, len(whole) - 7):
        (folder / "piped.wav").write_bytes(whole[:4] + declared_size.to_bytes(4, "little") + whole[8:])
        assert len(read_sound(folder / "piped.wav")[0]) == 1600


def test_recording_at_other_rate_than_training_is_refused(folder: Path) -> None:
    reader = SoundReader()
    read(folder, "low.wav", reader=reader)
    with pytest.raises(DataError, match=r"fast.wav has 16000 samples per second, but the model reads 8000; train with"):
        read(folder, "fast.wav", reader=SoundReader(features=reader.features))


def test_frames_shorter_than_a_sample_are_refused() -> None:
    with pytest.raises(UsageError, match=r"frame, hop, mels: frames of 0.1 ms every 10.0 ms .* do not fit 8000"):
        SoundReader(0.1, rate=8000)
