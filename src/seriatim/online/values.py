"""Features and targets of a stream, checked one value at a time."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any, Final

import numpy as np

from seriatim.errors import DataError

MAX_NUMBER: Final = 1e100
"""Larger numbers are refused, since their squares would soon overflow."""
MAX_RAW_NUMBER: Final = 1e18
"""The same for features that are not standardized: the network computes in float32."""


def number_of(what: str, value: Any, limit: float) -> float | None:
    """Return ``value`` as a number within ± ``limit``; None if it is missing. Raises ``DataError``.

    Missing values are None, NaN, a masked value of NumPy, and ``NA`` of pandas.
    """
    if _is_missing(value):
        return None
    if not isinstance(value, (int, float, np.number, np.bool_)):
        raise DataError(f"{what} is {value!r}, wanted a number (river's OneHotEncoder makes numbers of words)")
    number = _float(value)
    if math.isinf(number):
        raise DataError(f"{what} is {value!r}, wanted a finite number")
    if abs(number) > limit:
        raise DataError(f"{what} is {value!r}, wanted a number within ±{limit:g}")
    return None if math.isnan(number) else number


def _is_missing(value: object) -> bool:
    return value is None or value is np.ma.masked or type(value).__name__ == "NAType"  # pandas may not be installed


def _float(value: Any) -> float:
    """Return ``value`` as a float; infinity for whole numbers that are too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def label_of(y: Hashable) -> Hashable:
    """Return a class as a plain Python value. Raises ``DataError``."""
    if _is_missing(y):
        raise DataError("the class is missing, wanted a string, a whole number or a truth value")
    label: Hashable = y.item() if isinstance(y, np.generic) else y
    if not isinstance(label, (str, int)):  # a bool is an int
        raise DataError(f"the class is {y!r}, wanted a string, a whole number or a truth value")
    return label
