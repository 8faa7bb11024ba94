"""Arrays of naive models."""

from __future__ import annotations

from typing import Any

from seriatim.errors import RunError
from seriatim.runtime.weights import WeightFile


def load_naive(model: Any, weights: WeightFile) -> None:
    """Load the arrays of a naive model. Raises ``RunError`` for arrays that do not fit."""
    try:
        model.load_state_dict({name: weights.raw(name) for name in sorted(weights.names)})
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{weights.path}: damaged ({error})") from None
