"""skorch: `NeuralNetClassifier` fits an LSTM and predicts probabilities.

Shapes are B, T, I, H = 64, 80, 6, 64. `accelerate` is called between `initialize` and `partial_fit`.
"""

from __future__ import annotations

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

PACKAGES = ("skorch",)
DISTRIBUTION = "skorch"


class Classifier(nn.Module):
    """An LSTM and a linear head on its last state."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 64, batch_first=True)
        self.head = nn.Linear(64, 3)

    def forward(self, x):
        _, (h_n, _) = self.lstm(x)
        return self.head(h_n[-1])


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    net = NeuralNetClassifier(
        Classifier, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, max_epochs=2, batch_size=64, verbose=0,
    )  # fmt: skip
    net.initialize()
    change(net.module_)
    x, y = np.random.randn(512, 80, 6).astype("float32"), np.random.randint(0, 3, 512)

    def fit():
        net.partial_fit(x, y)
        return np.concatenate([net.history[:, "train_loss"], net.predict_proba(x[:100]).ravel()])

    return fit
