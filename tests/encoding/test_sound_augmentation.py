"""Random changes of log-mel frames: what each does to a known recording."""

from __future__ import annotations

import numpy as np
import pytest

from seriatim.encoding.sound_augmentation import changed, masked, with_noise, with_speed, with_stretch

FRAMES = np.random.default_rng(0).normal(size=(40, 20)).astype(np.float32)


@pytest.mark.parametrize(("factor", "steps"), [(1.0, 40), (2.0, 20), (0.5, 80), (100.0, 1)])
def test_speed_changes_the_number_of_frames_and_keeps_the_ends(factor: float, steps: int) -> None:
    changed = with_speed(FRAMES, factor)
    assert changed.shape == (steps, 20) and changed.dtype == np.float32
    np.testing.assert_array_equal(changed[0], FRAMES[0])
    if steps > 1:
        np.testing.assert_allclose(changed[-1], FRAMES[-1], rtol=1e-5)


@pytest.mark.parametrize("factor", [0.8, 1.25, 1.7])
def test_speed_interpolates_between_frames(factor: float) -> None:
    ramp = np.arange(40, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    changed = with_speed(ramp, factor)
    np.testing.assert_allclose(changed[:, 0], np.linspace(0, 39, round(40 / factor)), rtol=1e-5, atol=1e-5)


def test_stretch_moves_a_band() -> None:
    frames = np.zeros((3, 20), np.float32)
    frames[:, 10] = 1
    assert with_stretch(frames, 1.25)[0].argmax() == 8
    np.testing.assert_array_equal(with_stretch(frames, 1.0), frames)
    assert with_stretch(FRAMES, 0.85).shape == FRAMES.shape


def test_noise_covers_what_is_quieter() -> None:
    """The noise in FRAMES, whose loudest value is 3.2, has the level of 0.2 nats in the first band."""
    level = FRAMES.max() - 0.2
    mixed = with_noise(FRAMES, level, 0.0, np.random.default_rng(1))
    assert (mixed > -1.0).all() and (FRAMES < -1.5).any()
    loud = FRAMES > 2.7
    assert loud.any() and (mixed >= FRAMES).all()
    np.testing.assert_allclose(mixed[loud], FRAMES[loud], atol=0.2)


def test_noise_is_added_as_power() -> None:
    """Two equal powers are twice the power: log 2 nats more. The noise rises from band to band by its slope."""
    equal = np.full((200, 20), -1.0, np.float32)
    mixed = with_noise(equal, 0.0, 0.0, np.random.default_rng(2))
    assert mixed.mean() + 1 == pytest.approx(np.log(2), abs=0.03)
    sloped = with_noise(equal, 0.0, 6.0, np.random.default_rng(2)).mean(0) + 1
    np.testing.assert_allclose(sloped, np.logaddexp(0, np.linspace(0, 6, 20)), atol=0.1)


def test_masks_are_of_any_band_and_of_any_step() -> None:
    ones = np.ones((40, 20), np.float32)
    hidden = np.array([masked(ones, np.random.default_rng(seed)) == 0 for seed in range(200)])
    bands, steps = hidden.all(1), hidden.all(2)
    assert (bands.any(0)).all() and (steps.any(0)).all()
    assert bands.sum(1).max() <= 6 and steps.sum(1).max() <= 12  # two masks of at most 15 % each
    np.testing.assert_array_equal(ones, np.ones((40, 20)))


def test_masks_hide_bands_and_steps() -> None:
    hidden = np.mean([masked(FRAMES, np.random.default_rng(seed)) == 0 for seed in range(50)])
    assert 0.1 < hidden < 0.4
    assert not np.shares_memory(masked(FRAMES, np.random.default_rng(0)), FRAMES)


@pytest.mark.parametrize("steps", [1, 2, 3, 17])
def test_changed_recordings_are_finite_and_differ_by_generator(steps: int) -> None:
    frames = FRAMES[:steps]
    first = changed(frames, np.random.default_rng(0))
    assert np.isfinite(first).all() and first.dtype == np.float32
    assert np.array_equal(first, changed(frames, np.random.default_rng(0)))
    other = changed(frames, np.random.default_rng(1))
    assert first.shape != other.shape or not np.array_equal(first, other)
