"""Captions without a network: the one that is given most often, and that of the picture most like the new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]

SIDE = 32
"""Pixels of a side, at most, that pictures are compared by: each is the mean of a square of the whole picture's."""
PART = 256
"""Pictures that are compared at a time."""


@final
class MostCommon:
    """Says of every picture what is said most often; of captions as common, the first."""

    def __init__(self) -> None:
        self.caption = ""

    def fit(self, captions: Sequence[Sequence[str]]) -> None:
        """Count the captions of all pictures."""
        self.caption = Counter(one for some in captions for one in some).most_common(1)[0][0]

    def captions(self, pictures: Sequence[Array]) -> list[str]:
        """Give each picture its caption."""
        return [self.caption] * len(pictures)

    def state_dict(self) -> dict[str, Array]:
        return {"caption": _pack([self.caption])}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take the caption back."""
        (self.caption,) = _unpack(state["caption"])

    @property
    def parameters_count(self) -> int:
        return 0


@final
class NearestImage:
    """Says of a picture what is said first of the nearest one, by the distance of pixels or of mean features."""

    def __init__(self) -> None:
        self.pictures: Array = np.zeros((0, 0), np.float32)
        self.said: list[str] = []

    def fit(self, pictures: Sequence[Array], captions: Sequence[Sequence[str]]) -> None:
        """Remember pictures, uint8 ``[H, W, C]`` or float32 ``[R, C]``, and the first caption of each."""
        self.pictures = _marks(pictures)
        self.said = [some[0] for some in captions]

    def captions(self, pictures: Sequence[Array]) -> list[str]:
        """Give each picture its caption."""
        known = self.pictures.astype(np.float32)
        squares = np.einsum("nd,nd->n", known, known)
        found: list[str] = []
        for start in range(0, len(pictures), PART):
            new = _marks(pictures[start : start + PART]).astype(np.float32)
            found += [self.said[place] for place in (squares - 2 * new @ known.T).argmin(1)]
        return found

    def state_dict(self) -> dict[str, Array]:
        return {"pictures": self.pictures, "captions": _pack(self.said)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take pictures and captions back; raises ``ValueError`` when there is not one of these for each of those."""
        self.pictures, self.said = state["pictures"], _unpack(state["captions"])
        if self.pictures.ndim != 2 or len(self.pictures) != len(self.said):
            raise ValueError(f"captions: got {len(self.said)}, wanted one for each of {self.pictures.shape} pictures")

    @property
    def parameters_count(self) -> int:
        return 0


def _marks(pictures: Sequence[Array]) -> Array:
    """What pictures are told apart by, ``[N, D]``: uint8 for pixels, float32 for features."""
    return np.stack([_shrunk(one) if one.ndim == 3 else one.mean(0) for one in pictures])


def _shrunk(pixels: Array) -> Array:
    """The mean of each square of pixels, in a row."""
    square = -(-len(pixels) // SIDE)
    starts = np.arange(0, len(pixels), square)
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float32), starts, 0), starts, 1)
    sizes = np.diff([*starts, len(pixels)]).astype(np.float32)
    return np.round(sums / np.outer(sizes, sizes)[:, :, None]).astype(np.uint8).reshape(-1)


def _pack(texts: Sequence[str]) -> Array:
    """Texts as UTF-8 in one array, with line ends between: a caption has none within."""
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def _unpack(packed: Array) -> list[str]:
    return packed.tobytes().decode().split("\n")
