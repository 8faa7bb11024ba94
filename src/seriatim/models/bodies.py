"""The table of bodies, by the names of the option ``model``."""

from __future__ import annotations

from collections.abc import Callable

from seriatim.models.body import Body
from seriatim.models.convolution import TemporalConvolution
from seriatim.models.feedforward import FeedForward
from seriatim.models.options import ModelOptions
from seriatim.models.recurrent import Stack
from seriatim.models.transformer import Transformer


def build_body(options: ModelOptions, input_size: int, *, causal: bool = False) -> Body:
    """Build the body that ``options.model`` names. If ``causal``, no step sees later ones.

    A causal body can continue a stream from its carry. Other bodies start anew at each call.
    """
    makers: dict[str, Callable[[], Body]] = {
        "transformer": lambda: Transformer(options, input_size, causal=causal),
        "cnn": lambda: TemporalConvolution(options, input_size, causal=causal),
        "mlp": lambda: FeedForward(options, input_size),
    }
    return makers.get(options.model, lambda: Stack(options, input_size))()
