"""Bodies that see a fixed window of the last τ vectors: the naive language models ``cbow`` and ``window``."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError
from seriatim.notation import UNKNOWN
from seriatim.runtime.arithmetic import Floats, affine
from seriatim.runtime.body import Body, Carry
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile


class WindowBody(Body):
    """The last τ vectors of each step. The carry holds the last τ - 1; at first they are the vector of ``<unk>``."""

    is_causal = True

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self.input_size = self.output_size = description.size("input_size")
        self.context = description.size("context")
        self._past = weights.row("embedding", UNKNOWN, self.input_size)

    @abstractmethod
    def summary(self, windows: Floats) -> Floats:
        """[T, B, τ, E] → [T, B, output_size]."""

    def run(self, x: Floats, carry: Carry = (), lengths: NDArray[np.int64] | None = None) -> tuple[Floats, Carry]:
        before = self.context - 1
        shape = (before, x.shape[1], self.input_size)
        past = carry[0] if carry else np.broadcast_to(self._past, shape)
        extended = np.concatenate([past, x])
        windows = np.stack([extended[tap : tap + len(x)] for tap in range(self.context)], 2)
        return self.summary(windows), (extended[len(extended) - before :],)

    def check_carry(self, carry: Carry) -> None:
        if carry and [part.shape for part in carry] != [(self.context - 1, 1, self.input_size)]:
            raise DataError("snapshot: damaged (a carry of another shape)")


@final
class Bag(WindowBody):
    """The mean of the window (CBOW, after Mikolov 2013)."""

    def summary(self, windows: Floats) -> Floats:
        mean: Floats = windows.mean(2)
        return mean


@final
class Window(WindowBody):
    """The vectors of the window in order → tanh (Bengio 2003)."""

    def __init__(self, description: Description, weights: WeightFile) -> None:
        super().__init__(description, weights)
        self.output_size = description.size("hidden_size")
        self._weight = weights.take("body.weight", self.output_size, self.context * self.input_size)
        self._bias = weights.take("body.bias", self.output_size)

    def summary(self, windows: Floats) -> Floats:
        # The weight's columns go through the window once for each channel.
        flat = windows.transpose(0, 1, 3, 2).reshape(*windows.shape[:2], -1)
        return np.tanh(affine(flat, self._weight, self._bias))
