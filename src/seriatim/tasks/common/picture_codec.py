"""The codec of pictures and their captions, for ``caption``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seriatim.data.images import Pictures
from seriatim.encoding.buckets import pad
from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.script import Script
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError
from seriatim.models.captioner import CaptionBatch, PictureSize, Views
from seriatim.models.decoder import NO_TARGET
from seriatim.tasks.options import CaptionOptions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PictureCodec:
    """Turns pictures into arrays, and captions into arrays and back."""

    script: Script
    scaler: Standardizer
    """The scaler of the colours, or of the values of feature vectors."""
    side: int
    """The side of a picture in pixels; 0 for feature vectors."""
    longest: int
    """Units of the longest caption of the training part, including its end mark."""

    @classmethod
    def fit(cls, options: CaptionOptions, train: Pictures) -> PictureCodec:
        """Learn the vocabulary and the scale from the training part."""
        texts = [_one_line(text) for captions in train.captions for text in captions]
        script = Script.fit(texts, options.unit, options.most_units(options.unit), lowercase=options.lowercase)
        longest = max(len(script.encode_target(text)) for text in texts)
        side = options.image_size if train.inputs[0].ndim == 3 else 0
        return cls(script, _fit_scaler(train.inputs), side, longest)

    @property
    def size(self) -> PictureSize:
        """The size of a picture."""
        return PictureSize(self.side, len(self.scaler.mean))

    def encode_inputs(self, pictures: Sequence[Array]) -> list[Array]:
        """Return the pictures as they are: they are scaled batch by batch, to save memory."""
        return list(pictures)

    def input_batch(self, inputs: Sequence[Array]) -> Views:
        """Scale pictures and join them into one batch."""
        if self.side:
            pixels = self.scaler.transform(np.stack(inputs).astype(np.float32))
            return Views(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous())
        vectors, lengths = pad([self.scaler.transform(features) for features in inputs], 0.0)
        return Views(torch.from_numpy(vectors), torch.from_numpy(lengths))

    def check(self, pictures: Pictures) -> None:
        """Raise ``DataError`` for feature vectors of another width than in training."""
        width = len(self.scaler.mean)
        if not self.side and pictures.inputs[0].shape[1] != width:
            actual = pictures.inputs[0].shape[1]
            raise DataError(f"{pictures.names[0]}: vectors of {actual} numbers, but the model reads {width}")

    def alignment_row(self, encoded: Array, weights: Array) -> dict[str, Any]:
        """Return the attention weights on the regions of a picture, row by row."""
        return {"weights": [[round(float(weight), 5) for weight in regions] for regions in weights]}

    def encode(self, pictures: Pictures) -> EncodedPictures:
        """Encode pictures and their captions."""
        self.check(pictures)
        texts = [[self.script.fold_case(_one_line(text)) for text in captions] for captions in pictures.captions]
        targets = [[self.script.encode_target(text) for text in captions] for captions in texts]
        return EncodedPictures(self, pictures.inputs, texts, targets)

    def to_json(self) -> dict[str, Any]:
        return {
            "vocabulary": self.script.vocabulary.to_json(),
            "scaler": self.scaler.to_json(),
            "side": self.side,
            "longest": self.longest,
            "lowercase": self.script.lowercase,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> PictureCodec:
        """Rebuild a codec. Raises ``ValueError``, ``KeyError`` or ``TypeError`` if ``stored`` is damaged."""
        script = Script(Vocabulary.from_json(stored["vocabulary"]), bool(stored["lowercase"]))
        return cls(script, Standardizer.from_json(stored["scaler"]), int(stored["side"]), int(stored["longest"]))


@dataclass(frozen=True)
class EncodedPictures:
    """Pictures with their captions, as texts and encoded."""

    codec: PictureCodec
    inputs: list[Array]
    references: list[list[str]]
    """The captions of each picture, in lower case if the codec writes lower case."""
    targets: list[list[Array]]

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def texts_each(self) -> float:
        """The mean number of captions of a picture."""
        return sum(map(len, self.references)) / len(self)

    @property
    def lengths(self) -> Array:
        """The number of units of each picture's captions after padding, [N]."""
        return np.array([max(map(len, captions)) * len(captions) for captions in self.targets])

    @property
    def raw_inputs(self) -> Sequence[Array]:
        """The pictures before scaling."""
        return self.inputs

    def batch(self, indices: Array) -> CaptionBatch:
        """Make one batch of the pictures at ``indices`` and all their captions. Each picture is encoded once."""
        owners = [position for position, index in enumerate(indices) for _ in self.targets[index]]
        targets, _ = pad([caption for index in indices for caption in self.targets[index]], NO_TARGET)
        views = self.codec.input_batch([self.inputs[index] for index in indices])
        return CaptionBatch(views, torch.tensor(owners), torch.from_numpy(targets).long())


def _fit_scaler(pictures: Sequence[Array]) -> Standardizer:
    """Fit mean and deviation of each channel. Pixel values are counted, to avoid an array of floats."""
    if pictures[0].ndim == 2:
        return Standardizer.fit(np.concatenate(pictures))
    channels = pictures[0].shape[2]
    counts = np.zeros((channels, 256))
    for picture in pictures:
        for channel in range(channels):
            counts[channel] += np.bincount(picture[:, :, channel].reshape(-1), minlength=256)
    share, values = counts / counts.sum(1, keepdims=True), np.arange(256)
    mean = share @ values
    deviation = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
    return Standardizer(mean, np.where(deviation > 0, deviation, 1.0))


def _one_line(text: str) -> str:
    """Return ``text`` with single spaces for all white space."""
    return " ".join(text.split())
