"""The bodies by the name of the option ``model``."""

from __future__ import annotations

from seriatim.models.body import Body
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import Stack


def build_body(options: ModelOptions, input_size: int, *, causal: bool = False) -> Body:
    """Build the body that ``options.model`` names; with ``causal``, no step sees those after it."""
    return Stack(options, input_size)
