"""Computes log-mel frames of a whole recording or of a running stream, with NumPy only.

    frame t is the samples t·hop … t·hop + window, times a Hann window
    power    = |FFT(frame)|²                          [T, F]
    features = log(max(power @ bands, floor))         [T, M]

The M bands are triangles spaced evenly on the mel scale, 2595 log10(1 + f / 700) (O'Shaughnessy 1987).
A frame depends only on its own samples, so a stream gives the same bits as the whole recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.encoding.speech import SMALLEST_DEVIATION, Frames, Speech

Samples = NDArray[np.float32]
FLOOR: Final = 1e-10
"""Smallest power, for samples within ±1, so that the logarithm of digital silence is finite."""

BLOCK: Final = 1 << 18
"""Number of samples processed at once, so that memory stays small."""


@final
class LogMel:
    """Computes log-mel frames of recordings at one sample ``rate``.

    ``frame`` and ``hop`` are in milliseconds; ``mels`` is the number of bands. If ``is_normalised``, each band of a
    recording has mean 0 and deviation 1, so that loudness, microphone and voice matter less. With ``speech``, quiet
    ends are cut and the rest is scaled as the class says. A running stream cannot have either.

    >>> features = LogMel(8000, mels=24, speech=Speech())
    >>> tone = np.zeros(8000, np.float32)
    >>> tone[3000:5000] = np.sin(np.arange(2000))
    >>> features.transform(tone).shape
    (31, 24)
    """

    def __init__(
        self,
        rate: int,
        frame: float = 25.0,
        hop: float = 10.0,
        mels: int = 40,
        *,
        is_normalised: bool = False,
        speech: Speech | None = None,
    ) -> None:
        """Raises ``ValueError`` for a frame or hop shorter than one sample, fewer than one band, or both scales."""
        self.rate, self.frame, self.hop, self.mels = int(rate), float(frame), float(hop), int(mels)
        self.window_samples = round(self.rate * self.frame / 1000)
        self.hop_samples = round(self.rate * self.hop / 1000)
        if self.window_samples < 2 or self.hop_samples < 1 or self.mels < 1:
            raise ValueError(
                f"frames of {frame} ms every {hop} ms in {mels} bands do not fit {rate} samples per second"
            )
        if is_normalised and speech is not None:
            raise ValueError("normalised: got true and 'speech', wanted one of them")
        self.is_normalised, self.speech = is_normalised, speech
        self._size = 1 << (self.window_samples - 1).bit_length()
        self._window = np.hanning(self.window_samples + 1)[:-1]  # periodic
        self._bins, self._weights, self._starts = _triangles(self.rate, self._size, self.mels)

    @property
    def needs_whole(self) -> bool:
        """Whether a frame depends on the whole recording, so that a stream cannot compute it."""
        return self.is_normalised or self.speech is not None

    def transform(self, samples: Samples) -> Frames:
        """Return scaled frames ``[T, M]`` of a whole recording ``[N]``."""
        return self.scaled(self.frames(samples))

    def frames(self, samples: Samples) -> Frames:
        """Return frames ``[T, M]`` in nats of a whole recording ``[N]``, without quiet ends if it is speech.

        A recording shorter than a frame is padded with silence.
        """
        stream = self.stream()
        parts = [stream.push(samples[start : start + BLOCK]) for start in range(0, len(samples), BLOCK)]
        frames = np.concatenate([*parts, stream.finish()])
        return frames if self.speech is None else self.speech.trimmed(frames)

    def scaled(self, frames: Frames) -> Frames:
        """Scale the ``frames`` ``[T, M]`` of a whole recording by the recording itself, or not at all."""
        if self.speech is not None:
            return self.speech.scaled(frames)
        return normalised(frames) if self.is_normalised else frames

    def stream(self) -> LogMelStream:
        """Begin a recording that arrives in parts."""
        return LogMelStream(self)

    def count(self, samples: int) -> int:
        """Number of frames that are complete after ``samples`` samples."""
        return max(0, 1 + (samples - self.window_samples) // self.hop_samples)

    def features(self, samples: Samples) -> Frames:
        """Return all complete frames ``[T, M]`` of ``samples`` ``[N]``."""
        count = self.count(len(samples))
        if not count:
            return np.zeros((0, self.mels), np.float32)
        views = np.lib.stride_tricks.sliding_window_view(samples, self.window_samples)
        frames = views[: 1 + (count - 1) * self.hop_samples : self.hop_samples] * self._window
        spectrum = np.fft.rfft(frames, self._size)
        power = spectrum.real**2 + spectrum.imag**2
        bands = np.add.reduceat(power[:, self._bins] * self._weights, self._starts, axis=1)
        return np.log(np.maximum(bands, FLOOR)).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain JSON values."""
        settings = {"rate": self.rate, "frame": self.frame, "hop": self.hop, "mels": self.mels}
        speech = {} if self.speech is None else {"speech": self.speech.to_json()}
        return settings | ({"normalised": True} if self.is_normalised else {}) | speech

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> LogMel:
        """Rebuild the features. Raises ``ValueError`` if ``stored`` is damaged."""
        try:
            is_normalised = stored.get("normalised", False)
            if not isinstance(is_normalised, bool):
                raise ValueError(f"normalised: got {is_normalised!r}, wanted true or false")
            speech = Speech.from_json(stored["speech"]) if "speech" in stored else None
            sizes = stored["rate"], stored["frame"], stored["hop"], stored["mels"]
            return cls(*sizes, is_normalised=is_normalised, speech=speech)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the settings of log-mel frames ({error})") from None


@final
class LogMelStream:
    """Computes the frames of a running recording; keeps fewer samples than a window."""

    def __init__(self, features: LogMel) -> None:
        self._features = features
        self._rest: Samples = np.zeros(0, np.float32)
        self._skip = 0
        """Number of coming samples that no frame reads, if the hop is longer than the window."""
        self._begun = False

    def push(self, samples: Samples) -> Frames:
        """Read more ``samples`` ``[N]``; return the frames ``[T, M]`` that they complete."""
        features = self._features
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        buffer = np.concatenate([self._rest, np.asarray(samples[skipped:], np.float32)])
        frames = features.features(buffer)
        read = len(frames) * features.hop_samples
        self._rest = buffer[read:]
        self._skip += max(0, read - len(buffer))
        self._begun |= bool(len(frames))
        return frames

    def rest(self) -> tuple[Samples, int]:
        """Return the samples that coming frames also read, and the number of coming samples that no frame reads."""
        return self._rest.copy(), self._skip

    def resume(self, rest: Samples, skip: int) -> None:
        """Continue a recording from a ``rest``."""
        self._rest, self._skip = rest, skip

    def finish(self) -> Frames:
        """End the recording: return one frame padded with silence if there was none yet, otherwise ``[0, M]``."""
        if self._begun:
            return np.zeros((0, self._features.mels), np.float32)
        return self.push(np.zeros(self._features.window_samples - len(self._rest), np.float32))


def normalised(frames: Frames) -> Frames:
    """Return frames [T, M] with mean 0 and deviation 1 in each band.

    A deviation below ``SMALLEST_DEVIATION``, as of silence, counts as that.
    """
    deviation = np.maximum(frames.std(0), SMALLEST_DEVIATION)
    scaled: Frames = ((frames - frames.mean(0)) / deviation).astype(np.float32)
    return scaled


def _triangles(rate: int, size: int, mels: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the spectrum bins of all bands in order, their weights, and the start of each band.

    A band that is too narrow for a bin reads the bin nearest to its middle.
    """
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    frequencies = np.arange(size // 2 + 1) * rate / size
    bins, weights, starts = [], [], [0]
    for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
        height = np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle))
        inside = np.flatnonzero(height > 0)
        if not len(inside):
            inside = np.array([np.abs(frequencies - middle).argmin()])
            height[inside] = 1.0
        bins.append(inside)
        weights.append(height[inside])
        starts.append(starts[-1] + len(inside))
    return np.concatenate(bins), np.concatenate(weights), np.array(starts[:-1])
