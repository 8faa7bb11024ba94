"""Pictures and captions as arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from seriatim.data.buckets import pad
from seriatim.data.images import Pictures
from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.script import Script
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError
from seriatim.models.captioner import CaptionBatch, PictureSize, Views
from seriatim.models.decoder import NO_TARGET
from seriatim.tasks.options import CaptionOptions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PictureReader:
    """Turns pictures into arrays, and captions into arrays and back."""

    script: Script
    scaler: Standardizer
    """Of each colour, or of each number of a feature vector."""
    side: int
    """Of a picture in pixels; 0 for feature vectors."""
    longest: int
    """Units of the longest caption of the training part, its end counted."""

    @classmethod
    def fit(cls, options: CaptionOptions, train: Pictures) -> PictureReader:
        """Learn the vocabulary and the scale from the training part."""
        texts = [_spaced(text) for some in train.captions for text in some]
        script = Script.fit(texts, options.unit, options.most_units, lowercase=options.lowercase)
        longest = max(len(script.encode_target(text)) for text in texts)
        side = options.image_size if train.inputs[0].ndim == 3 else 0
        return cls(script, _fit_scaler(train.inputs), side, longest)

    @property
    def size(self) -> PictureSize:
        """What a picture is."""
        return PictureSize(self.side, len(self.scaler.mean))

    def shown(self, inputs: Sequence[Array]) -> Views:
        """Scale pictures, and make one batch of them."""
        if self.side:
            pixels = self.scaler.transform(np.stack(inputs).astype(np.float32))
            return Views(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous())
        vectors, lengths = pad([self.scaler.transform(one) for one in inputs], 0.0)
        return Views(torch.from_numpy(vectors), torch.from_numpy(lengths))

    def check(self, pictures: Pictures) -> None:
        """Refuse pictures that are not what the model reads. Raises ``DataError``."""
        width = len(self.scaler.mean)
        if not self.side and pictures.inputs[0].shape[1] != width:
            came = pictures.inputs[0].shape[1]
            raise DataError(f"{pictures.names[0]}: vectors of {came} numbers, but the model reads {width}")

    def looked(self, given: Array, weights: Array) -> dict[str, Any]:
        """Return the weights of the regions, row by row."""
        return {"weights": [[round(float(weight), 5) for weight in regions] for regions in weights]}

    def examples(self, pictures: Pictures) -> Examples:
        """Encode pictures with their captions, in the case that is written."""
        self.check(pictures)
        said = [[self.script.fold_case(_spaced(text)) for text in some] for some in pictures.captions]
        return Examples(
            self, pictures.inputs, said, [[self.script.encode_target(text) for text in some] for some in said]
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "vocabulary": self.script.vocabulary.to_json(),
            "scaler": self.scaler.to_json(),
            "side": self.side,
            "longest": self.longest,
            "lowercase": self.script.lowercase,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> PictureReader:
        """Rebuild a reader. Raises ``ValueError``, ``KeyError`` or ``TypeError`` when ``stored`` is damaged."""
        script = Script(Vocabulary.from_json(stored["vocabulary"]), bool(stored["lowercase"]))
        return cls(script, Standardizer.from_json(stored["scaler"]), int(stored["side"]), int(stored["longest"]))


@dataclass(frozen=True)
class Examples:
    """Pictures, what is said of each, and that encoded."""

    reader: PictureReader
    inputs: list[Array]
    references: list[list[str]]
    """The captions of each, in the case that is written."""
    targets: list[list[Array]]

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def captions_each(self) -> float:
        """How many a picture has, on average."""
        return sum(map(len, self.references)) / len(self)

    @property
    def lengths(self) -> Array:
        """Units of each picture's captions once they are padded, [N]."""
        return np.array([max(map(len, some)) * len(some) for some in self.targets])

    def batch(self, indices: Array) -> CaptionBatch:
        """Make one batch of the pictures at ``indices``, with all their captions: each picture is looked at once."""
        owners = [place for place, index in enumerate(indices) for _ in self.targets[index]]
        targets, _ = pad([one for index in indices for one in self.targets[index]], NO_TARGET)
        views = self.reader.shown([self.inputs[index] for index in indices])
        return CaptionBatch(views, torch.tensor(owners), torch.from_numpy(targets).long())


def _fit_scaler(pictures: Sequence[Array]) -> Standardizer:
    """Mean and deviation of each channel; of pixels from counts of their values, so that none is held as a float."""
    if pictures[0].ndim == 2:
        return Standardizer.fit(np.concatenate(pictures))
    channels = pictures[0].shape[2]
    counts = np.zeros((channels, 256))
    for one in pictures:
        for channel in range(channels):
            counts[channel] += np.bincount(one[:, :, channel].reshape(-1), minlength=256)
    share, values = counts / counts.sum(1, keepdims=True), np.arange(256)
    mean = share @ values
    deviation = np.sqrt((share * (values - mean[:, None]) ** 2).sum(1))
    return Standardizer(mean, np.where(deviation > 0, deviation, 1.0))


def _spaced(text: str) -> str:
    """Return the text on one line."""
    return " ".join(text.split())
