"""Recordings that an exported model reads from WAV files: the samples of libsndfile, and the predictions of the run."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import seriatim
from seriatim.cli.app import run as run_command
from seriatim.data.sound import read_sound
from seriatim.errors import DataError, UsageError
from seriatim.runtime.reading import rows_of_table
from seriatim.runtime.recordings import read_recording

soundfile = pytest.importorskip("soundfile")

RATE = 8000
NOISE = np.random.default_rng(0).uniform(-1, 1, (501, 2))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32"])
def test_samples_are_those_of_libsndfile(tmp_path, subtype, channels):
    file = tmp_path / "noise.WAV"
    soundfile.write(file, NOISE[:, :channels], RATE, subtype, format="WAV")
    samples, expected = read_recording(file, RATE), read_sound(file)[0]
    assert samples.dtype == np.float32 and np.array_equal(samples, expected)


def wave_file(path: Path, samples: int, keep: int | None = None) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, samples, "NONE", ""))
        file.writeframes(bytes(2 * samples))
    path.write_bytes(path.read_bytes()[:keep])
    return path


def test_other_files_are_refused(tmp_path):
    soundfile.write(tmp_path / "float.wav", NOISE, RATE, "FLOAT")
    soundfile.write(tmp_path / "noise.flac", NOISE, RATE)
    (tmp_path / "text.wav").write_text("no sound")
    wave_file(tmp_path / "short.wav", 100, keep=-10)
    wave_file(tmp_path / "head.wav", 100, keep=20)
    wave_file(tmp_path / "empty.wav", 0)
    wave_file(tmp_path / "good.wav", 100)
    wrong = {
        "float.wav": "not a WAV file of whole numbers", "noise.flac": "reads .wav files", "text.wav": "not a WAV file",
        "short.wav": "truncated: 190 bytes of samples, but its header says 200", "head.wav": "not a WAV file",
        "empty.wav": "holds no samples", "missing.wav": "No such file",
    }  # fmt: skip
    for name, message in wrong.items():
        with pytest.raises(DataError, match=message) as raised:
            read_recording(tmp_path / name, RATE)
        assert "\n" not in str(raised.value)
    with pytest.raises(DataError, match="has 8000 samples per second, but the model reads 16000"):
        read_recording(tmp_path / "good.wav", 16000)


def test_pictures_in_files_are_refused():
    model: Any = SimpleNamespace(task="caption", columns={})
    with pytest.raises(UsageError, match="a caption model in a runtime folder reads no pictures from files"):
        rows_of_table(model, "pictures.csv", [{"image": "a.png"}])


def test_predictions_of_files_are_those_of_the_run(tmp_path, capsys):
    rng = np.random.default_rng(1)
    (tmp_path / "sounds").mkdir()
    for row in range(20):
        tone = np.sin(np.arange(900 + 20 * row) * (0.2 if row % 2 else 0.9)) * 0.3
        soundfile.write(tmp_path / "sounds" / f"{row}.wav", tone + rng.normal(size=len(tone)) * 0.05, RATE)
    table = tmp_path / "sounds" / "list.csv"
    table.write_text("file,label\n" + "".join(f"{row}.wav,{'low' if row % 2 else 'high'}\n" for row in range(20)))
    options = {"sound": "file", "label": "label", "hidden": 8, "epochs": 1, "baselines": "none", "quiet": True}
    run = seriatim.train("classify", table, model="gru", out=tmp_path / "run", **options)
    run.export(tmp_path / "exported")

    def predicted(model: str, data: Path) -> list[dict[str, object]]:
        assert run_command(["predict", str(tmp_path / model), str(data)]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    theirs, ours = predicted("run", table), predicted("exported", table)
    assert len(ours) == 20 and [row["label"] for row in ours] == [row["label"] for row in theirs]
    assert np.allclose([row["probability"] for row in ours], [row["probability"] for row in theirs], atol=1e-5)
    assert predicted("exported", tmp_path / "sounds" / "3.wav") == [ours[3] | {"row": 1}]
    for content, message in (
        ("file\n3.wav\nnone.wav\n", "row 2: column 'file': "), ("path\n3.wav\n", "no column 'file'"),
        ('file\n""\n', "row 1: column 'file' has '', wanted a path"),
    ):  # fmt: skip
        (tmp_path / "sounds" / "wrong.csv").write_text(content)
        assert run_command(["predict", str(tmp_path / "exported"), str(tmp_path / "sounds" / "wrong.csv")]) in (1, 2)
        assert message in capsys.readouterr().err
