"""darts: `RNNModel` with a GRU fits a series and forecasts 24 steps.

darts makes its network in `fit`, so a callback of Lightning calls `accelerate` when the fit starts.
"""

from __future__ import annotations

import numpy as np
from darts import TimeSeries
from darts.models import RNNModel
from pytorch_lightning import Callback

PACKAGES = ("u8darts[torch]",)
DISTRIBUTION = "u8darts"


class ChangeAtStart(Callback):
    """Calls a function on the network before the optimizer is made."""

    def __init__(self, change):
        self.change = change

    def setup(self, trainer, pl_module, stage):
        self.change(pl_module)


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    model = RNNModel(
        input_chunk_length=48, training_length=72, model="GRU", hidden_dim=64, n_rnn_layers=1, batch_size=32,
        n_epochs=1, random_state=1,
        pl_trainer_kwargs={
            "accelerator": "cpu", "callbacks": [ChangeAtStart(change)], "enable_progress_bar": False,
            "enable_model_summary": False, "logger": False, "enable_checkpointing": False,
        },
    )  # fmt: skip
    values = np.sin(np.arange(800) * 2 * np.pi / 24) + 0.1 * np.random.randn(800)
    series = TimeSeries.from_values(values.astype("float32"))

    def fit():
        model.fit(series)
        return model.predict(24).values()

    return fit
