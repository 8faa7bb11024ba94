"""The convolutions of an LSTM-FCN (Karim 2018), beside the body of a network of whole sequences."""

from __future__ import annotations

from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from seriatim.runtime.arithmetic import Floats, pool_mean
from seriatim.runtime.convolution import Filter, within
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile

MOST_CONVOLUTIONS: Final = 16


@final
class ConvolutionalBranch:
    """Convolutions with ReLU, centred on each step, and the mean over a row's steps."""

    def __init__(self, description: Description, weights: WeightFile, input_size: int) -> None:
        widths, kernels = _sizes(description, "widths"), _sizes(description, "kernels")
        if len(kernels) != len(widths):
            description.refuse("kernels", "a number for each of 'widths'")
        description.done()
        self._filters: list[Filter] = []
        for number, (outputs, kernel) in enumerate(zip(widths, kernels, strict=True)):
            weight = weights.take(f"branch.{number}.weight", outputs, kernel, input_size).reshape(outputs, -1)
            bias = weights.take(f"branch.{number}.bias", outputs)
            self._filters.append(Filter(weight, bias, kernel, dilation=1, is_causal=False))
            input_size = outputs
        self.output_size = input_size

    def run(self, x: Floats, lengths: NDArray[np.int64]) -> Floats:
        """x [T, B, C] → [B, output_size]. Steps beyond a row's length count as zeros."""
        inside = (np.arange(len(x))[:, None] < lengths)[:, :, None]
        for convolution in self._filters:
            x = np.maximum(convolution.run(within(x, inside), None), 0)
        return pool_mean(x, lengths, 1)


def _sizes(description: Description, key: str) -> list[int]:
    """Read a list of whole numbers above 0."""
    sizes = description.items(key)
    if not 0 < len(sizes) <= MOST_CONVOLUTIONS or not all(type(size) is int and size > 0 for size in sizes):
        description.refuse(key, f"1 to {MOST_CONVOLUTIONS} whole numbers above 0")
    return sizes
