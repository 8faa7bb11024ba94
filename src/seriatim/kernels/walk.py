"""How a layer walks over time: what may differ from call to call, beside the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")


@dataclass(frozen=True)
class Walk(Generic[Array]):
    """How a layer walks over x [T, B, I]; of NumPy arrays or of tensors. The default: every row from first to last."""

    lengths: Array | None = None
    """[B], whole numbers from 1 to T in any order: how many of a row's steps there are. A row keeps its state beyond
    its length, its output there is 0, and what x holds there is never read."""
    reverse: bool = False
    """Read every row from its own last step back."""
    reset: Array | None = None
    """[T, B], booleans: whether the row's state is set to zero before it takes the step that stands here."""
    dropout: Array | None = None
    """[B, P or H]: factors on h wherever it enters a product, the same at every step (recurrent dropout; Gal &
    Ghahramani 2016). h itself is handed on as it is."""
    zoneout: tuple[Array | None, ...] = ()
    """One [T or 1, B or 1, ·] per state, or none at all: the share m of the old state that is kept, new = m ⊙ old +
    (1 - m) ⊙ candidate (Krueger 2016). Draws in training, booleans or numbers 0 and 1, and their mean afterwards. An
    LSTM's candidate h is made of the candidate c."""
