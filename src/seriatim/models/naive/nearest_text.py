"""Naive models of translation: the target of the most similar training source, and the source itself.

Similarity is the cosine of TF-IDF vectors (Salton & Buckley 1988) of character n-grams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np

Array = np.ndarray[Any, Any]

GRAMS = (1, 4)
"""The smallest and largest number of characters per n-gram."""
PART = 256
"""Sources that are compared at a time."""


@final
class NearestText:
    """Gives each source the target of the most similar training source."""

    def __init__(self) -> None:
        self.sources: list[str] = []
        self.targets: list[str] = []
        self._index: tuple[Any, Any] | None = None

    def fit(self, sources: Sequence[str], targets: Sequence[str]) -> None:
        """Store the pairs."""
        self.sources, self.targets, self._index = list(sources), list(targets), None

    def write(self, sources: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Yield a target for each source, and the similarity of its source, 0 to 1."""
        from sklearn.feature_extraction.text import TfidfVectorizer  # slow to import, needed only here

        if self._index is None:
            grams = TfidfVectorizer(analyzer="char", ngram_range=GRAMS, lowercase=False, dtype=np.float32)
            self._index = grams, grams.fit_transform(self.sources).T.tocsr()
        grams, known = self._index
        for start in range(0, len(sources), PART):
            similarity = (grams.transform(sources[start : start + PART]) @ known).tocsr()
            best = np.asarray(similarity.argmax(axis=1)).ravel()
            for row, column in enumerate(best):
                yield self.targets[column], float(similarity[row, column])

    def state_dict(self) -> dict[str, Array]:
        return {"sources": _pack(self.sources), "targets": _pack(self.targets)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it is damaged."""
        sources, targets = _unpack(state["sources"]), _unpack(state["targets"])
        if len(sources) != len(targets):
            raise ValueError(f"targets: got {len(targets)}, wanted {len(sources)} as of the sources")
        self.fit(sources, targets)

    @property
    def parameters_count(self) -> int:
        return 0


@final
class CopySource:
    """Gives each source back as its target, to show the score of doing nothing."""

    def write(self, sources: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Yield each source with similarity 1."""
        return ((source, 1.0) for source in sources)

    def state_dict(self) -> dict[str, Array]:
        return {}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Do nothing."""

    @property
    def parameters_count(self) -> int:
        return 0


def _pack(texts: Sequence[str]) -> Array:
    """Return texts as UTF-8 in one array, separated by line ends. The text of a pair contains none."""
    return np.frombuffer("\n".join(text.replace("\n", " ") for text in texts).encode(), np.uint8)


def _unpack(packed: Array) -> list[str]:
    return packed.tobytes().decode().split("\n")
