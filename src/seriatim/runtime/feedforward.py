"""The plain feed-forward body: each step by itself."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from seriatim.runtime.arithmetic import Floats, affine
from seriatim.runtime.body import Body, Carry
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile


@final
class FeedForward(Body):
    """Layers of affine → ReLU, the same at each step. It has no carry."""

    is_causal = True

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self.input_size = width = description.size("input_size")
        self.output_size = description.size("hidden_size")
        self._layers = []
        for number in range(description.size("layers")):
            name, size = f"body.{number}", self.output_size
            self._layers.append((weights.take(f"{name}.weight", size, width), weights.take(f"{name}.bias", size)))
            width = size

    def run(self, x: Floats, carry: Carry = (), lengths: NDArray[np.int64] | None = None) -> tuple[Floats, Carry]:
        for layer in self._layers:
            x = np.maximum(affine(x, *layer), 0)
        return x, ()
