"""sktime: `GRUClassifier` fits 96 series of 60 steps and predicts probabilities.

sktime makes its network in `fit`, so a subclass of two lines calls `accelerate` on it.
"""

from __future__ import annotations

import numpy as np
from sktime.classification.deep_learning.gru import GRUClassifier

PACKAGES = ("sktime",)
DISTRIBUTION = "sktime"


def prepare(change):
    """Build the classifier and the data, and return the function that is timed."""

    class Changed(GRUClassifier):
        def _build_network(self, X, y):
            network = super()._build_network(X, y)
            change(network)
            return network

    classifier = Changed(hidden_dim=64, n_layers=2, batch_first=True, num_epochs=2, batch_size=16, random_state=1)
    x, y = np.random.randn(96, 3, 60), np.arange(96) % 3

    def fit():
        classifier.fit(x, y)
        return classifier.predict_proba(x)

    return fit
