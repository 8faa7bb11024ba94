"""What stands between the input and the head of every neural model: states for steps, by one flag.

A head knows nothing of what a body is made of, so that every task takes every model. Each part of a carry has its rows
in dimension 1, whatever else it is, so that rows can be repeated and put in another order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from seriatim.models.contract import Carry


class Body(nn.Module, ABC):
    """Time-major ``[T, B, input_size]`` → ``[T, B, output_size]``, going on from a carry."""

    output_size: int
    directions: int
    """2 where the second half of the output was read from the end."""

    @abstractmethod
    def forward(self, inputs: Tensor, carry: Carry = (), lengths: Tensor | None = None) -> tuple[Tensor, Carry]:
        """Run over ``inputs`` from ``carry`` (empty: the beginning); return the outputs and the carry after them.

        ``lengths`` [B]: steps beyond a row's length change nothing before them; what stands there is undefined.
        """

    @abstractmethod
    def forget(self, carry: Carry, kept: Tensor) -> Carry:
        """Return ``carry`` with the rows where ``kept`` [B] is False begun anew."""


def last_steps(x: Tensor, count: int, ends: Tensor | None = None) -> Tensor:
    """[S, B, C] → the last ``count`` steps before each row's end [B] (None: S); zeros where a row has fewer."""
    if ends is None and count <= len(x):
        return x[len(x) - count :]
    last = torch.full((x.shape[1],), len(x), device=x.device) if ends is None else ends
    steps = torch.arange(-count, 0, device=x.device)[:, None, None] + last[None, :, None]
    return x.gather(0, steps.clamp(min=0).expand(-1, -1, x.shape[2])).masked_fill(steps < 0, 0)
