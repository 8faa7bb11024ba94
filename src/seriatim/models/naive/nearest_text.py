"""Writers that do not write: the target of the training source that is most like the new one, and the source itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]

GRAMS = (1, 4)
"""Characters per n-gram, least and most."""
PART = 256
"""Sources that are compared at a time."""


@final
class Nearest:
    """Gives each source the target of the nearest training source: by the cosine of TF-IDF of character n-grams."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.targets: list[str] = []
        self._index: tuple[Any, Any] | None = None

    def fit(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        """Remember pairs."""
        self.sources, self.targets, self._index = list(sources), list(targets), None

    def write(self, sources: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Give the target for each source, and how near the source was, 0 to 1."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import, needed only here

        if self._index is None:
            grams = TfidfVectorizer(analyzer="char", ngram_range=GRAMS, lowercase=False, dtype=np.float32)
            self._index = grams, grams.fit_transform(self.sources).T.tocsr()
        grams, known = self._index
        for start in range(0, len(sources), PART):
            likeness = (grams.transform(sources[start : start + PART]) @ known).tocsr()
            best = np.asarray(likeness.argmax(axis=1)).ravel()
            for row, column in enumerate(best):
                yield self.targets[column], float(likeness[row, column])

    def state_dict(self) -> dict[str, Array]:
        return {"sources": _pack(self.sources), "targets": _pack(self.targets)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take the pairs back; raises ``ValueError`` when they are damaged."""
        sources, targets = _unpack(state["sources"]), _unpack(state["targets"])
        if len(sources) != len(targets):
            raise ValueError(f"targets: got {len(targets)}, wanted {len(sources)} as of the sources")
        self.fit(sources, targets)

    @property
    def parameters_count(self) -> int:
        return 0


@final
class Copy:
    """Gives each source back: what writing nothing new is worth."""

    def write(self, sources: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Give each source, which is sure to be what it is."""
        return ((source, 1.0) for source in sources)

    def state_dict(self) -> dict[str, Array]:
        return {}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Take nothing back."""

    @property
    def parameters_count(self) -> int:
        return 0


def _pack(texts: Sequence[str]) -> Array:
    """Texts as UTF-8 in one array, each behind a line end: no text of a pair has one within."""
    return np.frombuffer("\n".join(text.replace("\n", " ") for text in texts).encode(), np.uint8)


def _unpack(packed: Array) -> list[str]:
    return packed.tobytes().decode().split("\n")
