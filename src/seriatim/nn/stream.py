"""A layer that runs over a stream in chunks and keeps its state between calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from seriatim.errors import UsageError
from seriatim.nn.sequence import SequenceLayer


class Stream:
    """Runs ``layer`` over chunks of the same sequences and keeps its state from call to call.

    A chunk [K, B, I] gives the output [K, B, H]. The outputs of all chunks together are the output of the layer on the
    whole sequences. The state is detached after each chunk, so a gradient reaches back to the start of its chunk only,
    as in truncated back-propagation (Williams & Peng 1990). Raises ``UsageError`` for a bidirectional layer, which
    needs the end of the sequence.

    >>> import torch
    >>> from seriatim.nn import LSTM
    >>> stream, x = Stream(LSTM(8, 16)), torch.randn(20, 3, 8)
    >>> output = torch.cat([stream(x[:5]), stream(x[5:6]), stream(x[6:])])
    >>> torch.allclose(output, stream.layer(x)[0], atol=1e-6)
    True
    """

    def __init__(self, layer: SequenceLayer) -> None:
        if layer.bidirectional:
            raise UsageError("layer: got a bidirectional one, wanted one that does not read from the end")
        self.layer = layer
        self._state: Any = None

    def __call__(self, chunk: Tensor) -> Tensor:
        """Run the layer on a chunk, in any form that it takes, and return the output."""
        output: Tensor
        output, state = self.layer(chunk, self._state)
        self.state = state
        return output

    @property
    def state(self) -> Any:
        """The layer's state after the last chunk, detached; None before the first chunk. It can be set."""
        return self._state

    @state.setter
    def state(self, state: Tensor | Iterable[Tensor] | None) -> None:
        if state is None or isinstance(state, Tensor):
            self._state = state if state is None else state.detach()
        else:
            self._state = tuple(part.detach() for part in state)

    def reset(self) -> None:
        """Clear the state: the next chunk begins new sequences."""
        self._state = None
