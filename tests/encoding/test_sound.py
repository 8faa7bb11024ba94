"""Tests of log-mel frames: a stream equals the whole recording bit for bit, and a tone is in its band."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from seriatim.encoding.sound import FLOOR, LogMel, normalised

NOISE = np.random.default_rng(0).normal(scale=0.1, size=5000).astype(np.float32)
KINDS = [LogMel(8000), LogMel(16000, 25, 10, 80), LogMel(8000, 10, 15, 5), LogMel(44100, 5.2, 1.7, 128)]
"""The third has a hop longer than its frame, the fourth has bands narrower than a spectrum bin."""


@pytest.mark.parametrize("kind", range(len(KINDS)))
@settings(max_examples=20, deadline=None)
@given(cuts=some.lists(some.integers(0, len(NOISE)), max_size=8))
def test_stream_frames_equal_whole_recording(kind: int, cuts: list[int]) -> None:
    features = KINDS[kind]
    stream = features.stream()
    parts = [stream.push(piece) for piece in np.split(NOISE, sorted(cuts))]
    whole = features.transform(NOISE)
    np.testing.assert_array_equal(np.concatenate([*parts, stream.finish()]), whole)
    assert whole.shape == (features.count(len(NOISE)), features.mels) and whole.dtype == np.float32


def test_one_sample_at_a_time() -> None:
    features = LogMel(8000)
    stream = features.stream()
    parts = [stream.push(NOISE[place : place + 1]) for place in range(1000)]
    assert [len(part) for part in parts].index(1) == features.window_samples - 1, "a frame comes with its last sample"
    np.testing.assert_array_equal(np.concatenate(parts), features.transform(NOISE[:1000]))


def test_frame_depends_only_on_own_samples() -> None:
    features, changed = LogMel(8000), NOISE.copy()
    changed[400] += 1
    is_equal = (features.transform(NOISE) == features.transform(changed)).all(1)
    assert np.flatnonzero(~is_equal).tolist() == [3, 4], (
        "80 samples a hop, 200 a frame; 400 is the first of frame 5: Hann 0"
    )


@pytest.mark.parametrize("frequency", [200.0, 1000.0, 3000.0])
def test_tone_is_loudest_in_its_band(frequency: float) -> None:
    features = LogMel(8000)
    tone = np.sin(2 * np.pi * frequency * np.arange(8000) / 8000).astype(np.float32)
    middles = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42)[1:-1] / 2595) - 1)
    assert set(features.transform(tone).argmax(1)) == {int(np.abs(middles - frequency).argmin())}
    louder = features.transform(2 * tone) - features.transform(tone)
    np.testing.assert_allclose(louder[:, features.transform(tone)[0] > 0], np.log(4), atol=1e-4)


def test_frames_are_those_of_the_documented_formula() -> None:
    """Step by step, with numbers that saved models rely on: a periodic Hann window, mel triangles, a floor of 1e-10."""
    features, window, size = LogMel(8000, 20, 10, 6), 160, 256
    tone = (np.sin(np.arange(160)) * 1e-3).astype(np.float32)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    wave = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(window)) / size)
    power = np.abs(wave @ (tone * hann)) ** 2
    mel = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 8)
    edges = 700 * (10 ** (mel / 2595) - 1)
    expected = []
    for low, middle, high in zip(edges[:-2], edges[1:-1], edges[2:], strict=True):
        band = 0.0
        for place, value in enumerate(power):
            frequency = place * 8000 / size
            if low < frequency < high:
                side = (
                    (frequency - low) / (middle - low) if frequency < middle else (high - frequency) / (high - middle)
                )
                band += side * value
        expected.append(np.log(max(band, 1e-10)))
    np.testing.assert_allclose(features.features(tone)[0], expected, rtol=1e-5)
    quiet = features.features(tone * np.float32(1e-5))[0]
    assert np.array_equal(quiet, np.full(6, np.log(1e-10), np.float32))


def test_stream_is_resumed_where_no_frame_reads_the_next_samples() -> None:
    features = KINDS[2]  # a hop longer than the frame
    stream, again = features.stream(), features.stream()
    first = stream.push(NOISE[:100])
    assert stream.rest()[1] > 0
    again.resume(*stream.rest())
    joined = np.concatenate([first, again.push(NOISE[100:])])
    np.testing.assert_array_equal(joined, features.transform(NOISE))


def test_band_without_a_spectrum_bin_reads_the_nearest() -> None:
    features, size = KINDS[3], 256
    frequencies = np.arange(size // 2 + 1) * 44100 / size
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 22050 / 700), 130) / 2595) - 1)
    tone = np.sin(2 * np.pi * frequencies[2] * np.arange(2000) / 44100).astype(np.float32)
    frame = features.transform(tone)[0]
    narrow = [
        band for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False))
        if not ((frequencies > low) & (frequencies < high)).any() and abs(frequencies - middle).argmin() == 2
    ]  # fmt: skip
    assert narrow, "the case has such bands"
    assert (frame[narrow] == frame.max()).all()  # the tone's own bin, in full


def test_short_recording_gives_one_frame() -> None:
    features = LogMel(8000)
    assert features.transform(NOISE[:7]).shape == (1, 40)
    np.testing.assert_array_equal(features.transform(NOISE[:7]), features.transform(np.pad(NOISE[:7], (0, 193))))
    assert (features.transform(np.zeros(200, np.float32)) == np.float32(np.log(FLOOR))).all(), "silence is finite"


def test_settings_json_round_trip() -> None:
    features = LogMel(16000, 20, 8, 24)
    again = LogMel.from_json(features.to_json())
    np.testing.assert_array_equal(again.transform(NOISE), features.transform(NOISE))
    for stored in ({}, {"rate": None, "frame": 1, "hop": 1, "mels": 1}, {**features.to_json(), "mels": 0}):
        with pytest.raises(ValueError):
            LogMel.from_json(stored)


def test_normalised_frames_do_not_depend_on_loudness() -> None:
    features = LogMel(8000, is_normalised=True)
    frames = features.transform(NOISE)
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(frames.std(0), 1, rtol=1e-4)
    np.testing.assert_allclose(features.transform(NOISE / 8), frames, atol=1e-3)
    assert np.abs(LogMel(8000).transform(NOISE / 8) - LogMel(8000).transform(NOISE)).min() > 4
    assert np.array_equal(normalised(np.full((5, 3), 2.0, np.float32)), np.zeros((5, 3)))
    quiet = np.array([[1.0], [1.02]], np.float32)  # its deviation of 0.01 counts as 0.1
    np.testing.assert_allclose(normalised(quiet), [[-0.1], [0.1]], rtol=1e-4)


def test_settings_are_read_back() -> None:
    for features in (LogMel(8000), LogMel(8000, is_normalised=True)):
        again = LogMel.from_json(features.to_json())
        assert again.is_normalised is features.is_normalised
        np.testing.assert_array_equal(again.transform(NOISE), features.transform(NOISE))
    assert "normalised" not in LogMel(8000).to_json()  # as older versions wrote it
    with pytest.raises(ValueError, match="normalised: got 1"):
        LogMel.from_json(LogMel(8000).to_json() | {"normalised": 1})
