"""TF-IDF vectors of texts: words and characters side by side.

    (1)  x_j = (1 + log n_j) · (1 + log((1 + N) / (1 + N_j)))     n_j: how often gram j is in the text; N_j of N texts

Each of the two vectors x, of words and of characters, has unit length. Grams and vectors are those of scikit-learn's
``TfidfVectorizer``, which learns them; new texts are read without it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, final

import numpy as np

Array = np.ndarray[Any, Any]

WORDS: Final = (1, 2)
"""The shortest and the longest sequence of words that is one gram."""
CHARACTERS: Final = (1, 5)
"""The shortest and the longest sequence of characters that is one gram."""
WORD: Final = r"\w+|[^\w\s]+"


def word_grams(text: str) -> Iterator[str]:
    """Yield the words of a text and its pairs of words."""
    words = re.findall(WORD, text.lower())
    for count in range(WORDS[0], WORDS[1] + 1):
        yield from (" ".join(words[place : place + count]) for place in range(len(words) - count + 1))


def character_grams(text: str) -> Iterator[str]:
    """Yield the sequences of characters inside each word, which has a space before and after it."""
    for word in text.lower().split():
        padded = f" {word} "
        for count in range(CHARACTERS[0], CHARACTERS[1] + 1):
            if count >= len(padded):
                yield padded
                break  # a short word counts once
            yield from (padded[place : place + count] for place in range(len(padded) - count + 1))


@final
class TextGrams:
    """The known grams with their weights, and the vectors of texts."""

    analyzers: Final[Mapping[str, Callable[[str], Iterator[str]]]] = {
        "words": word_grams,
        "characters": character_grams,
    }

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, int]] = {name: {} for name in self.analyzers}
        self._weights: dict[str, Array] = {name: np.zeros(0) for name in self.analyzers}

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn the grams of ``texts``, and return their vectors as a sparse matrix [N, F]."""
        from scipy.sparse import hstack
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizers = {
            "words": TfidfVectorizer(ngram_range=WORDS, sublinear_tf=True, token_pattern=WORD, dtype=np.float64),
            "characters": TfidfVectorizer(ngram_range=CHARACTERS, sublinear_tf=True, analyzer="char_wb"),
        }
        vectors = hstack([vectorizer.fit_transform(texts) for vectorizer in vectorizers.values()], format="csr")
        for name, vectorizer in vectorizers.items():
            grams = vectorizer.get_feature_names_out().tolist()
            self._columns[name] = {gram: column for column, gram in enumerate(grams)}
            self._weights[name] = vectorizer.idf_.astype(np.float64)
        return vectors

    def vector(self, text: str) -> tuple[Array, Array]:
        """Return the columns of a text's vector that are not 0, rising, and their values, float64."""
        columns, values = [], []
        before = 0
        for name, grams_of in self.analyzers.items():
            known, weights = self._columns[name], self._weights[name]
            counts = Counter(known[gram] for gram in grams_of(text) if gram in known)
            places = np.array(sorted(counts), np.int64)
            part = (1 + np.log(np.array([counts[place] for place in places.tolist()], np.float64))) * weights[places]
            columns.append(places + before)
            values.append(part / (np.sqrt(part @ part) or 1.0))
            before += len(known)
        return np.concatenate(columns), np.concatenate(values)

    def arrays(self) -> dict[str, Array]:
        """Return the grams as JSON in bytes, and their inverse document frequencies."""
        state: dict[str, Array] = {}
        for name in self.analyzers:
            text = json.dumps(list(self._columns[name]), ensure_ascii=False)
            state[name] = np.frombuffer(text.encode(errors="surrogatepass"), np.uint8).copy()
            state[f"{name}_idf"] = self._weights[name]
        return state

    def load(self, state: Mapping[str, Array]) -> int:
        """Restore the result of ``arrays``, and return the number of features. Raises ``ValueError`` if damaged."""
        for name in self.analyzers:
            try:
                content = json.loads(state[name].astype(np.uint8).tobytes().decode(errors="surrogatepass"))
            except RecursionError:
                raise ValueError(f"{name}: too deep, wanted a list of texts") from None
            if not isinstance(content, list) or not all(isinstance(gram, str) for gram in content):
                raise ValueError(f"{name}: wanted a list of texts")
            columns = {gram: column for column, gram in enumerate(content)}
            if len(columns) != len(content) or state[f"{name}_idf"].shape != (len(content),):
                raise ValueError(f"{name}: wanted {len(content)} different grams with a frequency each")
            self._columns[name], self._weights[name] = columns, state[f"{name}_idf"].astype(np.float64)
        return sum(map(len, self._columns.values()))
