"""Linear models of texts: TF-IDF of words and of characters inside words, with logistic or ridge regression.

    (1)  x_j = (1 + log n_j) · (1 + log((1 + N) / (1 + N_j)))     n_j: how often gram j is in the text; N_j of N texts
    (2)  P(k | x) = softmax(W x + b)                              or ŷ = w x + b for a number

Each of the two vectors x, of words and of characters, has unit length (Salton & Buckley 1988; Joachims 1998). The
libraries are scikit-learn's ``TfidfVectorizer``, ``LogisticRegression`` and ``Ridge``.
"""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from seriatim.notation import QUANTILES

Array = np.ndarray[Any, Any]

WORDS: Final = (1, 2)
"""The shortest and the longest sequence of words that is one gram."""
CHARACTERS: Final = (1, 5)
"""The shortest and the longest sequence of characters that is one gram."""
INVERSE_PENALTY: Final = 10.0
"""C of the logistic regression."""
RIDGE: Final = 1.0
CHARACTERS_PER_SECOND: Final = 100_000
"""Characters of training text that are fitted in a second, roughly. A time limit is turned into a number of texts."""
ITERATIONS: Final = 200


class _TextFeatures:
    """TF-IDF vectors of texts: words and characters side by side."""

    def __init__(self) -> None:
        self._vectorizers: tuple[Any, Any] | None = None

    def fit(self, texts: Sequence[str]) -> Any:
        """Learn the grams of ``texts``, and return their vectors as a sparse matrix [N, F]."""
        from scipy.sparse import hstack

        self._vectorizers = _vectorizers(None, None)
        return hstack([vectorizer.fit_transform(texts) for vectorizer in self._vectorizers], format="csr")

    def transform(self, texts: Sequence[str]) -> Any:
        """Return the vectors of ``texts`` as a sparse matrix [N, F]."""
        from scipy.sparse import hstack

        assert self._vectorizers is not None
        return hstack([vectorizer.transform(texts) for vectorizer in self._vectorizers], format="csr")

    def arrays(self) -> dict[str, Array]:
        """Return the grams as JSON in bytes, and their inverse document frequencies."""
        assert self._vectorizers is not None
        state: dict[str, Array] = {}
        for name, vectorizer in zip(("words", "characters"), self._vectorizers, strict=True):
            grams = vectorizer.get_feature_names_out().tolist()
            text = json.dumps(grams, ensure_ascii=False)
            state[name] = np.frombuffer(text.encode(errors="surrogatepass"), np.uint8).copy()
            state[f"{name}_idf"] = vectorizer.idf_.astype(np.float64)
        return state

    def load(self, state: Mapping[str, Array]) -> int:
        """Restore the result of ``arrays``, and return the number of features. Raises ``ValueError`` if damaged."""
        grams = []
        for name in ("words", "characters"):
            content = json.loads(state[name].astype(np.uint8).tobytes().decode(errors="surrogatepass"))
            if not isinstance(content, list) or not all(isinstance(gram, str) for gram in content):
                raise ValueError(f"{name}: wanted a list of texts")
            if len(set(content)) != len(content) or state[f"{name}_idf"].shape != (len(content),):
                raise ValueError(f"{name}: wanted {len(content)} different grams with a frequency each")
            grams.append(content)
        words, characters = grams
        self._vectorizers = _vectorizers(words, characters)
        for name, vectorizer in zip(("words", "characters"), self._vectorizers, strict=True):
            vectorizer.idf_ = state[f"{name}_idf"]
        return len(words) + len(characters)


class TextModel(ABC):
    """A linear model of texts. ``fit`` reads texts, ``state_dict`` has the grams and the weights as arrays."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self._features = _TextFeatures()
        self.weights: Array = np.zeros((0, outputs), np.float32)
        """[F, K] float32."""
        self.constants: Array = np.zeros(outputs)
        """[K] float64."""

    def fit(self, texts: Sequence[str], targets: Array, *, seconds: float = 60.0, seed: int = 0) -> None:
        """Fit to ``texts`` and ``targets`` [N]. Of very many texts, a random part that fits into about ``seconds``."""
        rows = _affordable(texts, seconds, seed)
        vectors = self._features.fit([texts[index] for index in rows])
        self._solve(vectors, targets[rows])

    @abstractmethod
    def _solve(self, vectors: Any, targets: Array) -> None:
        """Set ``weights`` and ``constants`` for sparse vectors [N, F]."""

    def outputs_of(self, texts: Sequence[str]) -> Array:
        """Return W x + b of each text, float64 [N, K]."""
        result: Array = self._features.transform(texts) @ self.weights.astype(np.float64) + self.constants
        return result

    def state_dict(self) -> dict[str, Array]:
        """Return grams, inverse document frequencies, weights and constants."""
        return {**self._features.arrays(), "weights": self.weights, "constants": self.constants}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Restore the result of ``state_dict``. Raises ``ValueError`` if it does not fit together."""
        features = self._features.load(state)
        weights, constants = state["weights"], state["constants"]
        if weights.shape != (features, self.outputs) or constants.shape != self.constants.shape:
            raise ValueError(f"weights: got {weights.shape} and {constants.shape} for {features} grams")
        self.weights, self.constants = weights, constants

    @property
    def parameters_count(self) -> int:
        return self.weights.size + self.constants.size


@final
class TfidfClassifier(TextModel):
    """Logistic regression on TF-IDF vectors."""

    def _solve(self, vectors: Any, targets: Array) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        self.weights = np.zeros((vectors.shape[1], self.outputs), np.float32)
        self.constants = np.full(self.outputs, -np.inf)  # a class that was not drawn has probability 0
        present = np.unique(targets)
        if len(present) == 1:
            self.constants[present] = 0.0
            return
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is limited on purpose
            model.fit(vectors, targets)
        if len(present) == 2:
            self.weights[:, present[1]] = model.coef_[0]
            self.constants[present] = 0.0, model.intercept_[0]
        else:
            self.weights[:, present] = model.coef_.T
            self.constants[present] = model.intercept_

    def probabilities(self, texts: Sequence[str]) -> Array:
        """Return the probability of each class, float64 [N, K]."""
        logits = self.outputs_of(texts)
        chances = np.exp(logits - logits.max(1, keepdims=True))
        result: Array = chances / chances.sum(1, keepdims=True)
        return result


@final
class TfidfRegression(TextModel):
    """Ridge regression on TF-IDF vectors. Quantiles are the prediction plus quantiles of the training residuals."""

    def __init__(self) -> None:
        super().__init__(1)
        self.constants = np.zeros(1 + len(QUANTILES))

    def _solve(self, vectors: Any, targets: Array) -> None:
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import cross_val_predict

        model = Ridge(alpha=RIDGE).fit(vectors, targets)
        self.weights = model.coef_.astype(np.float32)[:, None]
        constant = float(model.intercept_)
        folds = min(5, len(targets))
        unseen = cross_val_predict(Ridge(alpha=RIDGE), vectors, targets, cv=folds) if folds > 1 else targets
        self.constants = np.array([constant, *(constant + np.quantile(targets - unseen, QUANTILES))])

    def predictions(self, texts: Sequence[str]) -> Array:
        """Return the mean and the quantiles of each text, float64 [N, 1 + Q]."""
        return self.outputs_of(texts)


def _vectorizers(words: list[str] | None, characters: list[str] | None) -> tuple[Any, Any]:
    """Return the two vectorizers, with known grams or to be fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return (
        TfidfVectorizer(
            ngram_range=WORDS, sublinear_tf=True, token_pattern=r"\w+|[^\w\s]+", vocabulary=words, dtype=np.float64
        ),
        TfidfVectorizer(ngram_range=CHARACTERS, sublinear_tf=True, analyzer="char_wb", vocabulary=characters),
    )


def _affordable(texts: Sequence[str], seconds: float, seed: int) -> Array:
    """Return the indices of the texts that can be fitted in about ``seconds``: all, or a random part in order."""
    lengths = np.array([len(text) + 1 for text in texts])
    order = np.random.default_rng(seed).permutation(len(texts))
    count = int(np.searchsorted(np.cumsum(lengths[order]), seconds * CHARACTERS_PER_SECOND))
    return np.sort(order[: max(count, min(len(texts), 100))])
