"""The temporal convolutional network (Bai 2018) as a body."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from seriatim.errors import DataError
from seriatim.runtime.arithmetic import Floats, affine, last_steps
from seriatim.runtime.body import Body, Carry
from seriatim.runtime.description import Description
from seriatim.runtime.weights import WeightFile


@dataclass(frozen=True)
class Filter:
    """A convolution over time."""

    weight: Floats
    """[O, kernel · I]."""
    bias: Floats
    kernel: int
    dilation: int
    is_causal: bool

    @property
    def reach(self) -> int:
        """The number of steps between the first and the last input."""
        return (self.kernel - 1) * self.dilation

    def run(self, x: Floats, past: Floats | None) -> Floats:
        """x [T, B, C] → [T, B, O]; ``past`` [reach, B, C] are the inputs before x, None for zeros."""
        steps = len(x)
        if past is not None:
            x = np.concatenate([past, x])
        else:
            ahead = 0 if self.is_causal else (self.kernel - 1) // 2 * self.dilation
            x = np.pad(x, ((self.reach - ahead, ahead), (0, 0), (0, 0)))
        taps = np.concatenate([x[tap * self.dilation : tap * self.dilation + steps] for tap in range(self.kernel)], -1)
        return affine(taps, self.weight, self.bias)


@final
class Convolution(Body):
    """Residual blocks of two convolutions; the dilation doubles from block to block.

    The carry holds the last inputs of each convolution [reach, B, ·], the oldest first.
    """

    def __init__(self, description: Description, weights: WeightFile) -> None:
        self.input_size = width = description.size("input_size")
        self.output_size = size = description.size("hidden_size")
        self.is_causal = description.flag("causal")
        kernel, count = description.size("kernel"), description.size("layers")
        self._blocks: list[tuple[Filter, Filter, tuple[Floats, Floats] | None]] = []
        for number in range(count):
            name = f"body.{number}"

            def read(part: str, inputs: int, name: str = name, dilation: int = 2**number) -> Filter:
                weight = weights.take(f"{name}.{part}.weight", size, kernel, inputs).reshape(size, kernel * inputs)
                bias = weights.take(f"{name}.{part}.bias", size)
                return Filter(weight, bias, kernel, dilation, self.is_causal)

            straight = None
            if width != size:
                straight = (
                    weights.take(f"{name}.straight.weight", size, width), weights.take(f"{name}.straight.bias", size)
                )  # fmt: skip
            self._blocks.append((read("first", width), read("second", size), straight))
            width = size

    def run(self, x: Floats, carry: Carry = (), lengths: NDArray[np.int64] | None = None) -> tuple[Floats, Carry]:
        inside = None if lengths is None else (np.arange(len(x))[:, None] < lengths)[:, :, None]
        after: list[NDArray[Any]] = []
        for number, (first, second, straight) in enumerate(self._blocks):
            pasts: Sequence[Floats | None] = carry[2 * number : 2 * number + 2] or (None, None)
            x = within(x, inside)
            hidden = within(np.maximum(first.run(x, pasts[0]), 0), inside)
            output = np.maximum(second.run(hidden, pasts[1]), 0)
            if self.is_causal:
                for past, part in zip(pasts, (x, hidden), strict=True):
                    whole = part if past is None else np.concatenate([past, part])
                    after.append(last_steps(whole, first.reach))
            x = np.maximum(output + (x if straight is None else affine(x, *straight)), 0)
        return x, tuple(after)

    def check_carry(self, carry: Carry) -> None:
        widths = [filter.weight.shape[1] // filter.kernel for *pair, _ in self._blocks for filter in pair[:2]]
        reaches = [pair[0].reach for *pair, _ in self._blocks for _ in range(2)]
        shapes = [(reach, 1, width) for reach, width in zip(reaches, widths, strict=True)]
        if carry and [part.shape for part in carry] != shapes:
            raise DataError("snapshot: damaged (a carry of another shape)")


def within(x: Floats, inside: NDArray[np.bool_] | None) -> Floats:
    """Return x with zeros where ``inside`` is False."""
    return x if inside is None else np.where(inside, x, np.float32(0))
