"""sb3-contrib: `RecurrentPPO` with an LSTM policy learns CartPole.

`accelerate` is called on `model.policy` before `learn`.
"""

from __future__ import annotations

import numpy as np
from sb3_contrib import RecurrentPPO

PACKAGES = ("sb3-contrib",)
DISTRIBUTION = "sb3-contrib"


def prepare(change):
    """Build the model, and return the function that is timed."""
    model = RecurrentPPO("MlpLstmPolicy", "CartPole-v1", n_steps=128, batch_size=128, n_epochs=4, seed=1, device="cpu")
    change(model.policy)

    def learn():
        model.learn(512)
        observations = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
        state, values = None, []
        for observation in observations:
            _, state = model.predict(observation, state=state, deterministic=True)
            values.append(np.ravel(state[0]))
        return values

    return learn
