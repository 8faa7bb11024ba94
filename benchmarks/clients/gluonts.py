"""GluonTS: `DeepAREstimator` trains on 10 hourly series and forecasts 24 steps.

GluonTS makes its network in `train`, so a callback of Lightning calls `accelerate` when the fit starts. Prediction then
runs on the accelerated network too.
"""

from __future__ import annotations

import lightning.pytorch as pl
import numpy as np
import torch
from gluonts.dataset.common import ListDataset
from gluonts.torch.model.deepar import DeepAREstimator

PACKAGES = ("gluonts[torch]",)
DISTRIBUTION = "gluonts"


class ChangeAtStart(pl.Callback):
    """Calls a function on the network before the optimizer is made."""

    def __init__(self, change):
        self.change = change

    def setup(self, trainer, pl_module, stage):
        self.change(pl_module)


def prepare(change):
    """Build the estimator and the data, and return the function that is timed."""
    pl.seed_everything(1)
    steps = np.arange(600)
    series = [
        {"start": "2020-01-01", "target": np.sin(steps * 2 * np.pi / 24 + i) + 0.1 * np.random.randn(600)}
        for i in range(10)
    ]
    data = ListDataset(series, freq="h")
    trainer = {
        "max_epochs": 1, "accelerator": "cpu", "callbacks": [ChangeAtStart(change)], "enable_progress_bar": False,
        "enable_model_summary": False, "logger": False,
    }  # fmt: skip
    estimator = DeepAREstimator(
        freq="h", prediction_length=24, context_length=72, num_batches_per_epoch=15, num_parallel_samples=20,
        trainer_kwargs=trainer,
    )  # fmt: skip

    def fit():
        predictor = estimator.train(data)
        torch.manual_seed(2)
        return [forecast.mean for forecast in predictor.predict(data)]

    return fit
