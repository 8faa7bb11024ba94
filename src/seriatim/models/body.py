"""The interface of a body, the part of a neural model between the input and the head.

A head does not know what the body consists of, so every task can use every model. Each part of a carry has its rows in
dimension 1, so that rows can be repeated and reordered.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from seriatim.models.contract import Carry


class Body(nn.Module, ABC):
    """A network from ``[T, B, input_size]`` to ``[T, B, output_size]`` that continues from a carry."""

    output_size: int
    directions: int
    """2 if the second half of the output was read from the end, else 1."""

    @abstractmethod
    def forward(self, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        """Run over ``inputs`` from ``carry`` (empty: the beginning); return the outputs and the carry after them.

        ``lengths`` [B]: steps beyond a row's length do not affect the steps before. Outputs there are undefined.
        """

    @abstractmethod
    def reset_rows(self, carry: Carry, keep: Tensor) -> Carry:
        """Return ``carry`` with the rows reset to the beginning where ``keep`` [B] is False."""


def last_steps(x: Tensor, count: int, ends: Tensor | None = None) -> Tensor:
    """Return the last ``count`` steps of ``x`` [S, B, C] before the end of each row [B]. None: all rows end at S.

    Steps that a row does not have are zeros.
    """
    if ends is None and count <= len(x):
        return x[len(x) - count :]
    last = torch.full((x.shape[1],), len(x), device=x.device) if ends is None else ends
    steps = torch.arange(-count, 0, device=x.device)[:, None, None] + last[None, :, None]
    return x.gather(0, steps.clamp(min=0).expand(-1, -1, x.shape[2])).masked_fill(steps < 0, 0)
