"""neuralforecast: `LSTM` fits 20 monthly series and forecasts 12 steps.

`accelerate` is called on the model before `NeuralForecast.fit`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.models import LSTM

PACKAGES = ("neuralforecast",)
DISTRIBUTION = "neuralforecast"


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    model = LSTM(
        h=12, input_size=48, encoder_hidden_size=64, encoder_n_layers=2, decoder_hidden_size=32, max_steps=30,
        batch_size=16, random_seed=1, accelerator="cpu", logger=False, enable_progress_bar=False, 
        enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    change(model)
    steps = np.arange(144)
    series = [
        pd.DataFrame({
            "unique_id": f"series{i}", "ds": pd.date_range("2010-01-31", periods=144, freq="ME"),
            "y": np.sin(steps * 2 * np.pi / 12 + i) + 0.1 * np.random.randn(144),
        })
        for i in range(20)
    ]  # fmt: skip
    frame = pd.concat(series, ignore_index=True)
    forecaster = NeuralForecast(models=[model], freq="ME")

    def fit():
        forecaster.fit(frame)
        return forecaster.predict()["LSTM"].to_numpy()

    return fit
