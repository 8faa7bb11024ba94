"""captum: `IntegratedGradients` attributes a GRU classifier's answer to its inputs.

Shapes are B, T, I, H = 8, 100, 12, 64, with 20 points of the path. `accelerate` is called on the classifier.
"""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients
from torch import nn

PACKAGES = ("captum",)
PIP_OPTIONS = ("--no-deps",)
DISTRIBUTION = "captum"


class Classifier(nn.Module):
    """A GRU and a linear head on its last output."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(12, 64, batch_first=True)
        self.head = nn.Linear(64, 5)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    model = Classifier()
    change(model)
    x = torch.randn(8, 100, 12)

    def attribute():
        return IntegratedGradients(model).attribute(x, target=2, n_steps=20).numpy()

    return attribute
