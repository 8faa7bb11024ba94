"""Segments of a window as the inputs of a body, and of the horizon as its outputs (SegRNN, Lin 2023).

The twin of ``models/segments.py``, which explains it.
"""

from __future__ import annotations

from typing import final

import numpy as np

from seriatim.runtime.arithmetic import Floats, affine
from seriatim.runtime.body import Body
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile


@final
class Segments:
    """S steps make one input, and each segment of the horizon is decoded from the last state and its position."""

    def __init__(self, description: Description, weights: WeightFile, *, width: int, horizon: int) -> None:
        """``width``: channels of a step."""
        self.steps, self.input_size = description.size("steps"), description.size("input_size")
        description.done()
        self._affine = (
            weights.take("segment.weight", self.input_size, self.steps * width),
            weights.take("segment.bias", self.input_size),
        )
        self._positions = weights.take("segment.positions", -(-horizon // self.steps), self.input_size)

    def inputs(self, window: Floats) -> Floats:
        """Map a scaled window [T, B, width] to inputs of the body, [⌈T/S⌉, B, input_size]."""
        padded = np.pad(window, ((-len(window) % self.steps, 0), (0, 0), (0, 0)))
        joined = padded.reshape(-1, self.steps, *padded.shape[1:]).transpose(0, 2, 1, 3)
        return affine(joined.reshape(*joined.shape[:2], -1), *self._affine)

    def run(self, body: Body, window: Floats) -> Floats:
        """Return the output of ``body`` for each segment of the horizon, [B, N, output_size]."""
        _, carry = body.run(self.inputs(window))
        count, rows = len(self._positions), window.shape[1]
        repeated = tuple(np.tile(part, (1, count, *[1] * (part.ndim - 2))) for part in carry)
        states, _ = body.run(np.repeat(self._positions, rows, 0)[None], repeated)
        outputs: Floats = states[0].reshape(count, rows, -1).transpose(1, 0, 2)
        return outputs
