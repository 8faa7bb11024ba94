"""Captions without a network: the most common caption, and the caption of the most similar picture (Devlin 2015)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]

MAX_SIDE = 32
"""The longest side of the small pictures that are compared. Each of their pixels is the mean of a square."""
PART = 256
"""Pictures that are compared at a time."""


@final
class MostCommonCaption:
    """Gives every picture the commonest caption; of equally common ones the first."""

    def __init__(self) -> None:
        self.caption = ""

    def fit(self, captions: Sequence[Sequence[str]]) -> None:
        """Count the captions of all pictures."""
        self.caption = Counter(caption for of_picture in captions for caption in of_picture).most_common(1)[0][0]

    def captions(self, pictures: Sequence[Array]) -> list[str]:
        """Return a caption for each picture."""
        return [self.caption] * len(pictures)

    def state_dict(self) -> dict[str, Array]:
        return {"caption": _pack([self.caption])}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``."""
        (self.caption,) = _unpack(state["caption"])

    @property
    def parameters_count(self) -> int:
        return 0


@final
class NearestImage:
    """Gives a picture the first caption of the nearest one, by the distance of small pictures or of mean features.

    This is nearest-neighbour captioning (Devlin 2015) with a single neighbour.
    """

    def __init__(self) -> None:
        self.vectors: Array = np.zeros((0, 0), np.float32)
        self.first_captions: list[str] = []

    def fit(self, pictures: Sequence[Array], captions: Sequence[Sequence[str]]) -> None:
        """Store pictures, uint8 ``[H, W, C]`` or float32 ``[R, C]``, and the first caption of each."""
        self.vectors = _vectors(pictures)
        self.first_captions = [of_picture[0] for of_picture in captions]

    def captions(self, pictures: Sequence[Array]) -> list[str]:
        """Return a caption for each picture."""
        known = self.vectors.astype(np.float32)
        squares = np.einsum("nd,nd->n", known, known)
        captions: list[str] = []
        for start in range(0, len(pictures), PART):
            new = _vectors(pictures[start : start + PART]).astype(np.float32)
            captions += [self.first_captions[index] for index in (squares - 2 * new @ known.T).argmin(1)]
        return captions

    def state_dict(self) -> dict[str, Array]:
        return {"pictures": self.vectors, "captions": _pack(self.first_captions)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if pictures and captions differ in number."""
        self.vectors, self.first_captions = state["pictures"], _unpack(state["captions"])
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.first_captions):
            raise ValueError(
                f"captions: got {len(self.first_captions)}, wanted one for each of {self.vectors.shape} pictures"
            )

    @property
    def parameters_count(self) -> int:
        return 0


def _vectors(pictures: Sequence[Array]) -> Array:
    """Return the vectors ``[N, D]`` that pictures are compared by: uint8 for pixels, float32 for features."""
    return np.stack([_shrink(picture) if picture.ndim == 3 else picture.mean(0) for picture in pictures])


def _shrink(pixels: Array) -> Array:
    """Return the mean of each square of pixels, as one vector."""
    square = -(-len(pixels) // MAX_SIDE)
    starts = np.arange(0, len(pixels), square)
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float32), starts, 0), starts, 1)
    sizes = np.diff([*starts, len(pixels)]).astype(np.float32)
    return np.round(sums / np.outer(sizes, sizes)[:, :, None]).astype(np.uint8).reshape(-1)


def _pack(texts: Sequence[str]) -> Array:
    """Return texts as UTF-8 in one array, separated by line ends. A caption contains none."""
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def _unpack(packed: Array) -> list[str]:
    return packed.tobytes().decode().split("\n")
