"""The table of bodies, by the type in the description."""

from __future__ import annotations

from collections.abc import Callable

from seriatim.errors import RunError
from seriatim.runtime.body import Body
from seriatim.runtime.convolution import Convolution
from seriatim.runtime.description import Description
from seriatim.runtime.feedforward import FeedForward
from seriatim.runtime.recurrent import Recurrent
from seriatim.runtime.transformer import Transformer
from seriatim.runtime.weights import WeightFile
from seriatim.runtime.window import Bag, Window

BODIES: dict[str, Callable[[Description, WeightFile], Body]] = {
    "recurrent": Recurrent,
    "transformer": Transformer,
    "convolution": Convolution,
    "feedforward": FeedForward,
    "bag": Bag,
    "window": Window,
}


def read_body(network: Description, weights: WeightFile, input_size: int) -> Body:
    """Read the body of a network whose input has ``input_size`` channels."""
    description = network.part("body")
    body = description.choice("type", BODIES)(description, weights)
    description.done()
    if body.input_size != input_size:
        raise RunError(f"{description.place}: input_size is {body.input_size}, wanted {input_size}")
    return body
