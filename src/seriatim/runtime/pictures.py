"""The networks that turn pictures into regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, final

import numpy as np

from seriatim.runtime.arithmetic import Floats, affine
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile

MOST_STAGES: Final = 16
TYPES: Final = {"convolutions": "convolutions", "features": "features"}


class PicturesNetwork(ABC):
    """A network from pictures to regions [R, P, M]."""

    @abstractmethod
    def run(self, pictures: Floats) -> Floats:
        """Map pixels [P, H, W, C], or feature vectors [R, P, C], to regions [R, P, M]."""


@final
class Filter:
    """A convolution of 3 × 3 with batch normalisation (Ioffe & Szegedy 2015)."""

    def __init__(self, weights: WeightFile, name: str, norm: str, inputs: int, outputs: int, stride: int) -> None:
        weight = weights.take(f"{name}.weight", outputs, inputs, 3, 3)
        self._weight = np.ascontiguousarray(weight.transpose(0, 2, 3, 1).reshape(outputs, 9 * inputs))
        self._norm = [weights.take(f"{norm}.{part}", outputs) for part in ("weight", "bias", "mean", "variance")]
        self._stride = stride

    def run(self, x: Floats) -> Floats:
        """[P, H, W, I] → [P, H', W', O]."""
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        step, rows, columns = self._stride, x.shape[1], x.shape[2]
        taps = [padded[:, i : i + rows : step, j : j + columns : step] for i in range(3) for j in range(3)]
        hidden = affine(np.concatenate(taps, -1), self._weight, None)
        weight, bias, mean, variance = self._norm
        normal: Floats = (hidden - mean) / np.sqrt(variance + np.float32(1e-5)) * weight + bias
        return normal


@final
class Convolutions(PicturesNetwork):
    """Stages of two convolutions, with a shortcut around the second; two more channels hold the coordinates."""

    def __init__(self, part: Description, weights: WeightFile, side: int, channels: int) -> None:
        strides = part.items("strides")
        if len(strides) > MOST_STAGES or not all(stride in (1, 2) and type(stride) is int for stride in strides):
            part.refuse("strides", f"at most {MOST_STAGES} numbers, each 1 or 2")
        widths = part.items("widths")
        if len(widths) != len(strides) or not all(type(width) is int and width > 0 for width in widths):
            part.refuse("widths", "a whole number for each stage")
        self._stages = []
        inputs = channels + 2
        for number, (width, stride) in enumerate(zip(widths, strides, strict=True)):
            name = f"pictures.{number}"
            first = Filter(weights, f"{name}.enter", f"{name}.first", inputs, width, stride)
            self._stages.append((first, Filter(weights, f"{name}.stay", f"{name}.second", width, width, 1)))
            inputs = width
        self.size = inputs
        line = np.linspace(-1.0, 1.0, side, dtype=np.float32) if side > 1 else np.zeros(1, np.float32)
        self._coordinates = np.stack(np.meshgrid(line, line, indexing="ij"), -1)[None]

    def run(self, pictures: Floats) -> Floats:
        shape = (len(pictures), *self._coordinates.shape[1:])
        x = np.concatenate([pictures, np.broadcast_to(self._coordinates, shape)], -1)
        for first, second in self._stages:
            hidden = np.maximum(first.run(x), 0)
            x = np.maximum(hidden + second.run(hidden), 0)
        return np.ascontiguousarray(x.reshape(len(x), -1, x.shape[-1]).transpose(1, 0, 2))


@final
class Features(PicturesNetwork):
    """A user's own feature vectors → affine → ReLU."""

    def __init__(self, part: Description, weights: WeightFile, channels: int) -> None:
        self.size = part.size("width")
        self._affine = weights.take("pictures.weight", self.size, channels), weights.take("pictures.bias", self.size)

    def run(self, pictures: Floats) -> Floats:
        return np.maximum(affine(pictures, *self._affine), 0)


def read_pictures_network(
    network: Description, weights: WeightFile, side: int, channels: int
) -> tuple[PicturesNetwork, int]:
    """Read the network of pictures; return it and the width of a region."""
    part = network.part("pictures")
    made: Convolutions | Features
    if side > 1 << 14:
        part.refuse("type", "pictures of a smaller side")
    if part.choice("type", TYPES) == "convolutions":
        made = Convolutions(part, weights, side, channels)
    else:
        made = Features(part, weights, channels)
    part.done()
    return made, made.size
