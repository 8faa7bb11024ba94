"""A layer that goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from seriatim.errors import UsageError
from seriatim.nn.sequence import SequenceLayer


class Stream:
    """Run ``layer`` over chunks of the same sequences, carrying its state from call to call.

        stream = Stream(LSTM(8, 16))
        stream(x[:5]), stream(x[5:6]), stream(x[6:])     # together the output of the layer on x [T, B, 8]

    The state is carried without its history: a gradient reaches back to the start of a chunk and no further, as
    truncated back-propagation wants it (Williams & Peng 1990). Raises ``UsageError`` for a bidirectional layer, which
    would need the future.
    """

    def __init__(self, layer: SequenceLayer) -> None:
        if layer.bidirectional:
            raise UsageError("layer: got a bidirectional one, wanted one that does not read from the end")
        self.layer = layer
        self._state: Any = None

    def __call__(self, chunk: Tensor) -> Tensor:
        """A chunk in any form that the layer takes, [K, B, I] by default → its output."""
        output: Tensor
        output, state = self.layer(chunk, self._state)
        self.state = state
        return output

    @property
    def state(self) -> Any:
        """What the layer returns as its state, detached; None before the first chunk. It may be set."""
        return self._state

    @state.setter
    def state(self, state: Tensor | Iterable[Tensor] | None) -> None:
        if state is None or isinstance(state, Tensor):
            self._state = state if state is None else state.detach()
        else:
            self._state = tuple(one.detach() for one in state)

    def reset(self) -> None:
        """Forget: the next chunk begins new sequences."""
        self._state = None
