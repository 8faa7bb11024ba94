"""Keras 3 on PyTorch: `Model.fit` with `torch.nn.LSTM` as a layer (`TorchModuleWrapper`).

Keras' own LSTM layer calls no module of PyTorch, so `accelerate` does not see it. `accelerate` is called on
the Keras model, which is a `torch.nn.Module`. Shapes are B, T, I, H = 32, 60, 8, 64.
"""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras.layers import TorchModuleWrapper

PACKAGES = ("keras",)
DISTRIBUTION = "keras"


class LastOutput(torch.nn.Module):
    """An LSTM that returns its last output."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(8, 64, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0][:, -1]


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((60, 8)), TorchModuleWrapper(LastOutput()), keras.layers.Dense(1)])
    change(model)
    model.compile(optimizer="adam", loss="mse")
    x, y = np.random.randn(512, 60, 8).astype("float32"), np.random.randn(512, 1).astype("float32")

    def fit():
        losses = model.fit(x, y, batch_size=32, epochs=2, verbose=0).history["loss"]
        return np.concatenate([losses, model.predict(x[:100], verbose=0).ravel()])

    return fit
