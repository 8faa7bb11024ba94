"""Linear models of texts: TF-IDF of words and of characters inside words, with logistic or ridge regression.

    P(k | x) = softmax(W x + b)                              or ŷ = w x + b for a number

x is a vector of ``text_grams.py`` (Salton & Buckley 1988; Joachims 1998). The libraries are scikit-learn's
``TfidfVectorizer``, ``LogisticRegression`` and ``Ridge``.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from seriatim.models.naive.deadline import SHORTEST, Deadline, shortened
from seriatim.models.naive.text_grams import TextGrams
from seriatim.notation import QUANTILES

Array = np.ndarray[Any, Any]

INVERSE_PENALTY: Final = 10.0
"""C of the logistic regression."""
RIDGE: Final = 1.0
FIRST_CHARACTERS: Final = 50_000
"""Characters of the texts that are fitted first, by which the speed is measured."""
FEWEST: Final = 10
"""Texts that are fitted in any case."""
LARGEST_SHARE: Final = 0.5
"""Share of the time that is left which the next fit may take, by the seconds of the fit before."""
POWER: Final = 1.5
"""The seconds of a fit are taken to grow with this power of its characters: more of them take more iterations."""
SMALLEST_GROWTH: Final = 2.0
"""A larger part is fitted only if it has so many times the characters."""
ITERATIONS: Final = 200


class TextModel(ABC):
    """A linear model of texts. ``fit`` reads texts, ``state_dict`` has the grams and the weights as arrays."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self._features = TextGrams()
        self.weights: Array = np.zeros((0, outputs), np.float32)
        """[F, K] float32."""
        self.constants: Array = np.zeros(outputs)
        """[K] float64."""

    def fit(self, texts: Sequence[str], targets: Array, *, seconds: float = 60.0, seed: int = 0) -> str:
        """Fit to ``texts`` and ``targets`` [N] within about ``seconds``.

        Of very many texts a random part is fitted, which grows as long as the time allows. Returns its size in words;
        empty if it was all.
        """
        import sklearn.linear_model  # noqa: F401  # _solve uses it; the import takes a second, which is no time of a fit

        deadline = Deadline(seconds)
        order = np.random.default_rng(seed).permutation(len(texts))
        characters = np.cumsum([len(texts[index]) + 1 for index in order])
        count = max(int(np.searchsorted(characters, FIRST_CHARACTERS)), min(len(texts), FEWEST))
        while True:
            before = deadline.left
            rows = np.sort(order[:count])
            self._solve(self._features.fit([texts[index] for index in rows]), targets[rows])
            seconds_of_fit = max(before - deadline.left, SHORTEST)
            if count == len(texts):
                return ""
            growth = (max(0.0, LARGEST_SHARE * deadline.left) / seconds_of_fit) ** (1 / POWER)
            larger = int(np.searchsorted(characters, growth * characters[count - 1]))
            if larger < len(texts) and growth < SMALLEST_GROWTH:
                return shortened(count, len(texts), "texts")
            count = larger

    @abstractmethod
    def _solve(self, vectors: Any, targets: Array) -> None:
        """Set ``weights`` and ``constants`` for sparse vectors [N, F]."""

    def outputs_of(self, texts: Sequence[str]) -> Array:
        """Return W x + b of each text, float64 [N, K]."""
        result = np.empty((len(texts), self.constants.size))
        for row, text in enumerate(texts):
            columns, values = self._features.vector(text)
            result[row] = values @ self.weights[columns].astype(np.float64) + self.constants
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
    def channels(self) -> int:
        """The channels of a step; 0 for texts."""
        return 0

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
