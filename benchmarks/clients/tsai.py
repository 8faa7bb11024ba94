"""tsai: `LSTMPlus` under fastai's `Learner` classifies 128 series of 80 steps.

`accelerate` is called on `learner.model`.
"""

from __future__ import annotations

import numpy as np
from tsai.all import Learner, LSTMPlus, TSClassification, get_ts_dls

PACKAGES = ("tsai",)
DISTRIBUTION = "tsai"


def prepare(change):
    """Build the learner and the data, and return the function that is timed."""
    x, y = np.random.randn(128, 3, 80).astype("float32"), np.arange(128) % 4
    loaders = get_ts_dls(x, y, splits=(list(range(96)), list(range(96, 128))), tfms=[None, TSClassification()], bs=32)
    learner = Learner(loaders, LSTMPlus(3, 4, hidden_size=64, n_layers=2))
    change(learner.model)

    def fit():
        with learner.no_bar(), learner.no_logging():
            learner.fit(2, 1e-3)
        return learner.recorder.losses

    return fit
