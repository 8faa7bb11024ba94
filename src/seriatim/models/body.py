"""What stands between the input and the head of every neural model: states for steps, by one flag.

A head knows nothing of what a body is made of, so that every task takes every model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

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
