"""Tests of the scale of speech: quiet ends, the floor, and what no longer matters to the frames."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.encoding.sound import LogMel
from seriatim.encoding.speech import Speech

SPEECH = Speech(loud=4, margin=3, floor=7)
RANDOM = np.random.default_rng(0)


def word(*, before: int = 4000, after: int = 4000, noise: float = 1e-4) -> np.ndarray:
    """Samples of a sweep between two pauses."""
    sweep = 0.3 * np.sin(2 * np.pi * np.cumsum(np.linspace(300, 2000, 3200)) / 8000)
    samples = np.concatenate([np.zeros(before), sweep, np.zeros(after)])
    return (samples + noise * np.random.default_rng(1).standard_normal(len(samples))).astype(np.float32)


def test_quiet_ends_are_cut() -> None:
    frames = np.full((60, 4), -9.0, np.float32)
    frames[20:30, 1] = 2.0
    frames[40, 2] = -1.9  # within 4 nats of the loudest value
    frames[50, 3] = -2.1
    np.testing.assert_array_equal(SPEECH.trimmed(frames), frames[17:44])
    np.testing.assert_array_equal(SPEECH.trimmed(frames[20:41]), frames[20:41])  # a margin beyond the ends is not there
    assert len(SPEECH.trimmed(frames[:1])) == 1 and SPEECH.trimmed(frames[:0]).shape == (0, 4)


def test_scaled_frames_are_those_of_the_documented_formula() -> None:
    frames = (5 * RANDOM.normal(size=(30, 6))).astype(np.float32)
    limited = np.maximum(frames.astype(np.float64), frames.max() - 7)
    centred = limited - limited.mean(0)
    np.testing.assert_allclose(SPEECH.scaled(frames), centred / centred.std(), atol=1e-5)
    assert SPEECH.scaled(frames[:0]).shape == (0, 6)
    np.testing.assert_array_equal(SPEECH.scaled(np.full((9, 2), -3.0, np.float32)), np.zeros((9, 2)))


@pytest.mark.parametrize("changed", [word() / 8, word(before=12000), word(after=800), word(noise=1e-6)])
def test_loudness_pauses_and_noise_do_not_matter(changed: np.ndarray) -> None:
    features = LogMel(8000, mels=20, speech=SPEECH)
    frames, others = features.transform(word()), features.transform(changed)
    assert abs(len(others) - len(frames)) <= 1
    count = min(len(frames), len(others))
    assert np.sqrt(np.square(frames[:count] - others[:count]).mean()) < 0.1
    plain = LogMel(8000, mels=20, is_normalised=True)
    frames, others = plain.transform(word()), plain.transform(changed)
    count = min(len(frames), len(others))
    is_louder = len(changed) == len(word()) and np.abs(changed).max() < 0.1
    assert is_louder or np.sqrt(np.square(frames[:count] - others[:count]).mean()) > 0.1


def test_a_microphone_does_not_matter() -> None:
    """A factor for each band is a constant in each band of the frames."""
    frames = (RANDOM.normal(size=(30, 6))).astype(np.float32)
    np.testing.assert_allclose(SPEECH.scaled(frames + 2), SPEECH.scaled(frames), atol=1e-5)
    loud = np.maximum(frames, -1)  # nothing is below the floor, before and after
    microphone = np.linspace(-1, 1, 6, dtype=np.float32)
    np.testing.assert_allclose(SPEECH.scaled(loud + microphone), SPEECH.scaled(loud), atol=1e-5)


def test_settings_are_read_back() -> None:
    features = LogMel(8000, mels=12, speech=SPEECH)
    stored = features.to_json()
    assert LogMel.from_json(stored).speech == SPEECH
    np.testing.assert_array_equal(LogMel.from_json(stored).transform(word()), features.transform(word()))
    assert features.needs_whole and not LogMel(8000).needs_whole
    assert "speech" not in LogMel(8000).to_json()  # as older versions wrote it


@pytest.mark.parametrize(
    ("name", "value"),
    [("loud", -1), ("margin", 2.5), ("margin", True), ("floor", float("nan")), ("floor", None)],
)
def test_damaged_settings_are_refused(name: str, value: object) -> None:
    stored = LogMel(8000, speech=SPEECH).to_json()
    with pytest.raises(ValueError, match=f"speech: '{name}' is"):
        LogMel.from_json(stored | {"speech": stored["speech"] | {name: value}})


def test_missing_and_unknown_settings_are_refused() -> None:
    stored = LogMel(8000, speech=SPEECH).to_json()
    for speech in ({}, None, 3, stored["speech"] | {"other": 1}):
        with pytest.raises(ValueError, match="speech: got"):
            LogMel.from_json(stored | {"speech": speech})
    with pytest.raises(ValueError, match="wanted one of them"):
        LogMel.from_json(stored | {"normalised": True})
