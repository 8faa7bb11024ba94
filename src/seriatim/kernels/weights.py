"""The weights of one layer in one direction, in PyTorch's layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")

FUSED = 10
"""The number of fields up to ``b_c``."""


@dataclass(frozen=True)
class Weights(Generic[Array]):
    """Weights of one layer in one direction, or their gradients; of NumPy arrays or of tensors.

    Blocks of H rows are in the order of ``notation.GATES``. A cell has both biases or neither.
    """

    w_ih: Array
    """[G·H, I], from the input."""
    w_hh: Array = None  # type: ignore[assignment]  # only cells that have it read it
    """[G·H, P or H], from the old h; None for a diagonal cell."""
    b_ih: Array | None = None
    """[G·H]"""
    b_hh: Array | None = None
    """[G·H]"""
    w_hr: Array | None = None
    """[P, H], the projection of h."""
    w_ch: Array | None = None
    """[3, H], from c to the gates i, f and o (peephole); [2, H], f and o, with coupled gates."""
    g_ih: Array | None = None
    """[G·H], gain of the normalised input part (layer normalisation)."""
    g_hh: Array | None = None
    """[G·H], gain of the normalised recurrent part."""
    g_c: Array | None = None
    """[H], gain of the normalised c."""
    b_c: Array | None = None
    """[H], shift of the normalised c."""
    decay: Array | None = None
    """[3, H], of an LRU: log(-log |λ|), log of λ's angle, and log γ, the gain of its input."""
    w_hy: Array | None = None
    """[H, 2·H], from an LRU's state, real parts then imaginary ones, to its output."""

    def fused(self) -> list[Array | None]:
        """The fields of the cells that the engine has, in order; an absent weight is None."""
        return self.as_list()[:FUSED]

    def as_list(self) -> list[Array | None]:
        """All fields in order; an absent weight is None."""
        return [getattr(self, field.name) for field in dataclasses.fields(self)]

    def present(self) -> list[Array]:
        """The weights that are not None, in order. The first five are in the order of PyTorch's own functions."""
        return [weight for weight in self.as_list() if weight is not None]

    def without_input(self) -> Weights[Array]:
        """The weights for a caller that computes the input part of the gates itself: w_ih, b_ih and g_ih are None."""
        return dataclasses.replace(self, w_ih=None, b_ih=None, g_ih=None)  # type: ignore[arg-type]  # nobody reads w_ih

    def like(self, arrays: Iterable[Array]) -> Weights[Array]:
        """``arrays``, one for each weight of ``present``, in the same fields."""
        remaining = iter(arrays)
        return Weights(*(None if weight is None else next(remaining) for weight in self.as_list()))  # type: ignore[arg-type]
