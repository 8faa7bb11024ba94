"""The interface of a body: the part of a network between its input and its head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seriatim.runtime.arithmetic import Floats

Carry = tuple[NDArray[Any], ...]
"""The arrays that a body hands from step to step, with the rows in axis 1. Empty at the beginning."""


class Body(ABC):
    """A network from [T, B, input_size] to [T, B, output_size] that continues from a carry."""

    input_size: int
    output_size: int
    directions = 1
    """2 if the second half of the output was read from the end."""
    is_causal: bool
    """Whether no step sees later ones, so that a stream can be read."""

    @property
    def has_reduced_steps(self) -> bool:
        """Whether single steps multiply some weights as they are stored, in 8 or 16 bits."""
        return False

    @abstractmethod
    def run(self, x: Floats, carry: Carry = (), lengths: NDArray[np.int64] | None = None) -> tuple[Floats, Carry]:
        """Run over x from ``carry``; return the outputs and the carry after them.

        ``lengths`` [B]: steps beyond a row's length do not affect the steps before. Outputs there are undefined, and
        so is the carry.
        """

    def input_part(self, x: Floats) -> Floats | None:
        """Return the part of a step that depends on x [1, I] alone, for ``step_rows``; None if it is not worth it."""
        return None

    def step_rows(
        self, x: Floats, carries: Sequence[Carry], parts: Sequence[Floats] | None = None
    ) -> tuple[Floats, list[Carry]]:
        """Take one step in each of B streams, x [B, I]. A row's result is the same bits whatever the others are.

        ``parts`` are the rows' ``input_part``, if they are known and not None.
        """
        results = [self.run(x[None, row : row + 1], carry) for row, carry in enumerate(carries)]
        return np.stack([output[0, 0] for output, _ in results]), [carry for _, carry in results]

    def check_carry(self, carry: Carry) -> None:  # noqa: B027
        """Raise ``DataError`` for a carry of one row that this body cannot have."""
