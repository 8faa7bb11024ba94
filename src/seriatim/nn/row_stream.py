"""Single steps of one row through the layers of a module."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from seriatim.nn.recurrent import RecurrentLayer, gather
from seriatim.ops import row_stream
from seriatim.ops.row_stream import Floats, RowStream

__all__ = ["Floats", "RowStream", "stream_row"]


def stream_row(layers: nn.Module, state: Sequence[Tensor]) -> RowStream | None:
    """Return ``layers`` as single steps of one row from ``state``: [L, 1, ·] for each state, or empty for zeros.

    Returns None for a module that has to be called: it is bidirectional or in training mode, has masks or a cell of its
    own, or the engine does not run it.
    """
    if not isinstance(layers, RecurrentLayer) or layers.bidirectional or layers.training or layers.has_own_masks():
        return None
    weights = [gather(layers, names) for names in layers._names]
    if not row_stream.fits(layers._specs, weights):
        return None
    some_weight = weights[0].w_ih
    first = tuple(state) or [some_weight.new_zeros(layers.num_layers, 1, size) for size in layers.state_sizes.values()]
    return RowStream(layers._specs, weights, list(zip(*first, strict=True)))
