"""Models that learn on a live stream, with the conventions of ``river``.

from seriatim.online import OnlineClassifier

model = OnlineClassifier(model="gru", hidden=32)
for x, y in stream:                      # x: a dict of numbers
    prediction = model.predict_one(x)    # changes nothing
    model.learn_one(x, y)                # moves the state by one step and updates the weights
model.save("model.safetensors")          # a loaded model continues as if it had never stopped
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seriatim.online.estimators import OnlineClassifier as OnlineClassifier
    from seriatim.online.estimators import OnlineRegressor as OnlineRegressor

__all__ = ["OnlineClassifier", "OnlineRegressor"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'seriatim.online' has no attribute '{name}'")
    value: object = getattr(import_module("seriatim.online.estimators"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
