"""Classifiers of recordings: from files to predictions, the scales of frames, and random changes in training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from seriatim.data.sound import read_sound
from seriatim.encoding.speech import Speech
from seriatim.errors import DataError, UsageError
from seriatim.learning.checkpoint_store import NullStore
from seriatim.learning.observer import Silent
from seriatim.run.fitting import fit
from seriatim.tasks.classify import Classify
from seriatim.tasks.options import ClassifyOptions

TASK = Classify()
OPTIONS = ClassifyOptions(hidden=8, epochs=3, batch_size=8, lr=2e-2, sound="file", label="label")


def fit_model(source: object, options: ClassifyOptions) -> tuple[Any, Any]:
    prepared = TASK.prepare(options, source)
    torch.manual_seed(0)
    model = TASK.make(options, prepared.codec)
    fit(TASK, model, options, prepared, NullStore(), Silent())
    return model, prepared


def test_recordings_in_a_table_and_single_recording(tmp_path: Path) -> None:
    for row in range(24):
        tone = np.sin(2 * np.pi * (300, 900)[row % 2] * np.arange(1600 + 8 * row) / 8000)
        soundfile.write(tmp_path / f"{row}.wav", 0.5 * tone, 8000)
    table = tmp_path / "table.csv"
    table.write_text("file,label\n" + "".join(f"{row}.wav,{('low', 'high')[row % 2]}\n" for row in range(24)))
    options = dataclasses.replace(OPTIONS, epochs=12)
    model, prepared = fit_model(table, options)
    predicted = [dict(row) for row in TASK.predict(model, options, prepared.codec, table)]
    assert [row["label"] for row in predicted] == ["low", "high"] * 12
    for source in (tmp_path / "3.wav", str(tmp_path / "3.wav")):
        (single,) = TASK.predict(model, options, prepared.codec, source)
        assert (single["row"], single["label"]) == (1, "high")
        assert single["probability"] == pytest.approx(predicted[3]["probability"], rel=1e-5)
    soundfile.write(tmp_path / "fast.flac", np.zeros(1600), 16000)
    with pytest.raises(DataError, match=r"fast.flac has 16000 samples per second, but the model reads 8000"):
        list(TASK.predict(model, options, prepared.codec, tmp_path / "fast.flac"))
    with pytest.raises(DataError, match=r"gone.wav: no such file"):
        list(TASK.predict(model, options, prepared.codec, tmp_path / "gone.wav"))


def speech(folder: Path) -> Path:
    """A table of 24 sweeps, up or down, of three speakers, each with a loudness of their own."""
    for row in range(24):
        time = np.arange(1600) / 8000
        sweep = np.sin(2 * np.pi * np.cumsum(np.interp(time, (0, 0.2), ((300, 900), (900, 300))[row % 2])) / 8000)
        soundfile.write(folder / f"{row}.wav", (0.5, 0.1, 0.02)[row % 3] * sweep, 8000)
    table = folder / "speech.csv"
    rows = [f"{row}.wav,{('up', 'down')[row % 2]},speaker{row % 3}\n" for row in range(24)]
    table.write_text("file,label,speaker\n" + "".join(rows))
    return table


def test_recordings_change_at_random_in_training(tmp_path: Path) -> None:
    assert TASK.model_defaults({"sound": "file"}) == {}
    defaults = TASK.model_defaults({"sound": "file", "group": "speaker"})
    assert defaults == {"normalize": "speech", "augment": True, "mels": 20}
    options = dataclasses.replace(OPTIONS, epochs=8, group="speaker", **defaults)
    model, prepared = fit_model(speech(tmp_path), options)
    first, again, later = (TASK.plan(model, options, prepared).epoch(number)[0] for number in (0, 0, 1))
    assert torch.equal(first.inputs, again.inputs)
    assert not torch.equal(first.inputs.sort(0).values, later.inputs.sort(0).values)
    plain = TASK.plan(model, dataclasses.replace(options, augment=False), prepared).epoch(0)[0]
    assert torch.equal(plain.labels, first.labels)
    assert set(first.lengths.tolist()) != set(plain.lengths.tolist())
    assert TASK.codec_from_json(prepared.codec.to_json()).inputs.sound.speech == Speech()
    rows = list(TASK.predict(model, options, prepared.codec, tmp_path / "speech.csv"))
    assert len(rows) == 24
    with pytest.raises(UsageError, match="augment: for --sound"):
        TASK.check(dataclasses.replace(OPTIONS, sound=None, augment=True))


@pytest.mark.parametrize("normalize", ["training", "recording", "speech"])
def test_inputs_are_the_encoded_frames_of_the_samples(tmp_path: Path, normalize: str) -> None:
    """An exported model computes them from samples at once; training keeps the frames between, which it changes."""
    options = dataclasses.replace(OPTIONS, normalize=normalize, test=str(speech(tmp_path)))
    prepared = TASK.prepare(options, speech(tmp_path))
    inputs = prepared.codec.inputs
    samples = [read_sound(tmp_path / f"{row}.wav")[0] for row in range(24)]
    for values, recording in zip(prepared.test.inputs, samples, strict=True):
        expected = inputs.scaler.transform(inputs.sound.transform(recording))
        np.testing.assert_allclose(values, expected, atol=1e-5)
    rows = np.concatenate(prepared.train.inputs)
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(rows.std(0), 1, atol=1e-3)
    read_back = TASK.codec_from_json(prepared.codec.to_json()).inputs.sound
    assert (read_back.is_normalised, read_back.speech) == (
        normalize == "recording",
        Speech() if normalize == "speech" else None,
    )


def test_replayed_recordings_change_as_well(tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, augment=True, normalize="speech")
    prepared = TASK.prepare(options, speech(tmp_path))
    new, old = prepared.valid, prepared.train
    mixed = TASK.with_replay(new, old, 2.0, 0)
    assert len(mixed.frames) == len(mixed) == 3 * len(new)
    for values, frames in zip(mixed.inputs, mixed.frames, strict=True):
        np.testing.assert_array_equal(values, prepared.codec.inputs.encode_steps(frames))
