"""Converts arrays and lists of numbers to float64; masked values become NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_float64(values: Any) -> NDArray[np.float64]:
    """Convert numbers to float64. Raises ``TypeError`` or ``ValueError`` for anything else.

    NumPy alone would drop the mask of a masked array, and its fill values, such as 1e20, would be read as numbers.
    """
    if isinstance(values, np.ma.MaskedArray):
        masked: Any = values.astype(np.float64)
        filled: NDArray[np.float64] = masked.filled(np.nan)
        return filled
    if isinstance(values, (list, tuple)) and _has_mask(values):
        return np.array([to_float64(item) for item in values], dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def _has_mask(values: Any) -> bool:
    if isinstance(values, np.ma.MaskedArray):
        return True
    return isinstance(values, (list, tuple)) and any(map(_has_mask, values))
