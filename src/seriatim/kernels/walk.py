"""How a layer traverses time: the options of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")


@dataclass(frozen=True)
class Walk(Generic[Array]):
    """How a layer traverses x [T, B, I], in NumPy arrays or tensors. By default all rows run from start to end."""

    lengths: Array | None = None
    """[B], the number of steps of each row, from 1 to T, in any order. Beyond its length a row keeps its state, its
    output is 0, and x is never read."""
    reverse: bool = False
    """Read every row from its own last step back."""
    reset: Array | None = None
    """[T, B], booleans: whether the row's state is set to zero before this step."""
    dropout: Array | None = None
    """[B, P or H]: factors on h wherever it enters a product, the same at every step (recurrent dropout; Gal &
    Ghahramani 2016). h itself is not changed."""
    zoneout: tuple[Array | None, ...] = ()
    """Empty, or one [T or 1, B or 1, ·] per state: the share m of the old state that remains, new = m ⊙ old + (1 - m) ⊙
    candidate (Krueger 2016). In training these are random booleans or numbers 0 and 1, afterwards their mean. The
    candidate h of an LSTM is computed from the candidate c."""
