"""Random changes of log-mel frames [T, M] for training: other speeds, other voices, noise, and masks.

They act on frames in nats, so that recordings are read once: a faster or slower speaker (Ko 2015), a vocal tract of
another length, which stretches the frequencies (Jaitly & Hinton 2013), and noise that covers the quiet parts. Masks
act on encoded frames: SpecAugment hides some bands and some steps (Park 2019).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.speech import Frames

SPEEDS: Final = (0.8, 1.25)
"""The range of factors of the speed."""
STRETCHES: Final = (0.85, 1.15)
"""The range of factors of the frequencies."""
NOISE: Final = (3.0, 12.0)
"""The range of the noise's level, in nats below the loudest value of the recording."""
NOISE_SLOPE: Final = 1.5
"""The deviation of the difference, in nats, between the noise in the last and in the first band."""
NOISE_ROUGHNESS: Final = 0.3
"""The deviation of the noise from its level, in nats."""
MASKS: Final = 2
"""The number of masks of bands, and of masks of steps."""
MASKED_BANDS: Final = 0.15
"""The largest share of the bands that one mask hides."""
MASKED_STEPS: Final = 0.15
"""The largest share of the steps that one mask hides."""


def changed(frames: Frames, generator: np.random.Generator) -> Frames:
    """Return the frames of a similar recording, [T', M] in nats: T' = T / speed, at least 1."""
    other = with_speed(frames, generator.uniform(*SPEEDS))
    other = with_stretch(other, generator.uniform(*STRETCHES))
    return with_noise(other, generator.uniform(*NOISE), generator.normal(0, NOISE_SLOPE), generator)


def with_speed(frames: Frames, factor: float) -> Frames:
    """Return the frames of a recording that is ``factor`` times as fast, by linear interpolation."""
    steps = max(1, round(len(frames) / factor))
    return _at(frames, np.linspace(0, len(frames) - 1, steps))


def with_stretch(frames: Frames, factor: float) -> Frames:
    """Return frames whose band m is the former band m · ``factor``; the last band stands for those above it."""
    bands = frames.shape[1]
    stretched: Frames = _at(frames.T, np.minimum(np.arange(bands) * factor, bands - 1)).T
    return stretched


def with_noise(frames: Frames, level: float, slope: float, generator: np.random.Generator) -> Frames:
    """Return the frames of the sum of a recording and noise.

    The noise is ``level`` nats below the loudest value in the first band, and ``slope`` nats more than that in the
    last.
    """
    noise = frames.max() - level + slope * np.linspace(0, 1, frames.shape[1])
    noise = noise + NOISE_ROUGHNESS * generator.standard_normal(frames.shape, np.float32)
    mixed: Frames = np.logaddexp(frames, noise).astype(np.float32)
    return mixed


def masked(frames: Frames, generator: np.random.Generator) -> Frames:
    """Return a copy of the frames with some bands and some steps set to 0, the mean (Park 2019)."""
    hidden: Frames = frames.copy()
    for _ in range(MASKS):
        for axis, share in ((1, MASKED_BANDS), (0, MASKED_STEPS)):
            size = frames.shape[axis]
            width = int(generator.integers(int(share * size) + 1))
            start = int(generator.integers(size - width + 1))
            np.moveaxis(hidden, axis, 0)[start : start + width] = 0
    return hidden


def _at(rows: Frames, places: NDArray[np.float64]) -> Frames:
    """Return rows [N, K] at fractional ``places`` [P] from 0 to N - 1, by linear interpolation."""
    below = np.minimum(places.astype(np.int64), max(len(rows) - 2, 0))
    share = (places - below).astype(np.float32)[:, None]
    above = rows[np.minimum(below + 1, len(rows) - 1)]
    mixed: Frames = (rows[below] * (1 - share) + above * share).astype(np.float32)
    return mixed
