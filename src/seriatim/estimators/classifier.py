"""``SeriatimClassifier``: the task ``classify`` with scikit-learn's conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from seriatim.estimators.base import SequenceEstimator
from seriatim.estimators.inputs import read_pair
from seriatim.estimators.parameters import set_parameters, signature_of
from seriatim.run import Run

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from seriatim.estimators.parameters import EstimatorKeywords

COLUMN = "_label"
"""The name that the labels get in a frame."""


class SeriatimClassifier(ClassifierMixin, SequenceEstimator):  # type: ignore[misc]
    """Classifier of texts or numeric sequences: the task ``classify``.

    The parameters are the options of ``seriatim train classify --help``, with underscores. None means its default, but
    ``baselines`` is ``none`` by default. ``random_state`` is the seed. ``seriatim.estimators.inputs`` lists the
    forms of ``X``; the samples of a frame are its rows, and those of one ``id`` share a label. ``fit`` uses 80 % of the
    data for the weights, 10 % to choose the best weights, and 10 % to score them (``run_.result``).

    >>> from seriatim.estimators import SeriatimClassifier
    >>> texts = ["the sun is warm", "the fire is warm", "the sea is cold", "the ice is cold"] * 10
    >>> labels = ["warm", "warm", "cold", "cold"] * 10
    >>> classifier = SeriatimClassifier(model="gru", hidden=8, epochs=20, lr=0.02, dropout=0.0).fit(texts, labels)
    >>> classifier.predict(["the sun is warm", "the sea is cold"]).tolist()
    ['warm', 'cold']
    >>> classifier.predict_proba(texts).shape
    (40, 2)
    """

    task: ClassVar[str] = "classify"

    def __init__(self, **options: Unpack[EstimatorKeywords]) -> None:
        set_parameters(self, options)

    __init__.__signature__ = signature_of("classify", ("label", "group"))  # type: ignore[attr-defined]

    def fit(self, X: Any, y: Any) -> Self:
        """Train on sequences ``X`` with labels ``y`` ``[N]``.

        Raises ``ValueError`` for data that do not fit, and as ``seriatim.train`` does.
        """
        inputs, labels = read_pair(self, X, y, self._options())
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise ValueError(f"y: a single class '{self.classes_[0]}', wanted at least 2 classes")
        options = {"label": COLUMN} if inputs.is_table else {}
        run = self._train(inputs.with_answers([str(label) for label in labels], COLUMN), **options)
        self._columns = run.codec.labels.encode([str(label) for label in self.classes_])
        return self

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the probability of each class of ``classes_`` for each sample, ``[N, K]``."""
        inputs, rows = self._predict_rows(X)
        chances = np.array([list(row["probabilities"].values()) for row in rows])
        return inputs.spread(chances[:, self._columns])

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Return the most probable class of each sample, ``[N]``."""
        choices = self.predict_proba(X).argmax(axis=1)
        classes: np.ndarray[Any, Any] = self.classes_
        chosen: np.ndarray[Any, Any] = classes[choices]
        return chosen

    def _describe_run(self, run: Run) -> None:
        self.classes_ = np.array(run.codec.labels.names)
        self._columns = np.arange(len(self.classes_))
