"""The weights of one layer in one direction, in PyTorch's layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")


@dataclass(frozen=True)
class Weights(Generic[Array]):
    """Weights of one layer in one direction, or their gradients; of NumPy arrays or of tensors.

    Blocks of H rows stand in the order of ``notation.GATES``. Biases come both or neither.
    """

    w_ih: Array
    """[G·H, I], from the input."""
    w_hh: Array
    """[G·H, P or H], from the h before."""
    b_ih: Array | None = None
    """[G·H]"""
    b_hh: Array | None = None
    """[G·H]"""
    w_hr: Array | None = None
    """[P, H], the projection of h."""

    def present(self) -> list[Array]:
        """The arrays that are there, in the order in which PyTorch's own functions take them."""
        every = (self.w_ih, self.w_hh, self.b_ih, self.b_hh, self.w_hr)
        return [one for one in every if one is not None]
