"""The letters of the axes, and the orders of gates and states.

Axes
    T time steps · B batch · C input channels · H hidden units · P projected units
    G gates · L layers · D directions · V vocabulary · K classes · Q quantiles
    sequences inside the package are time-major: ``[T, B, C]``

Orders
    gate blocks are in PyTorch's order, so that weights are PyTorch's weights
    states are in the order of ``STATES``
"""

from __future__ import annotations

from typing import Final

GATES: Final[dict[str, tuple[str, ...]]] = {
    "rnn": ("h",),
    "lstm": ("i", "f", "g", "o"),
    "cifg": ("f", "g", "o"),
    "gru": ("r", "z", "n"),
    "mingru": ("z", "n"),
    "minlstm": ("f", "i", "g"),
    "slstm": ("i", "f", "g", "o"),
    "lru": ("b_re", "b_im", "d"),
}
"""Blocks of a cell's weight rows, in order."""

STATES: Final[dict[str, tuple[str, ...]]] = {
    "rnn": ("h",),
    "lstm": ("h", "c"),
    "cifg": ("h", "c"),
    "gru": ("h",),
    "mingru": ("h",),
    "minlstm": ("h",),
    "slstm": ("h", "c", "n", "m"),
    "lru": ("h", "re", "im"),
}
"""The states that a cell carries from step to step, in order."""

PROJECTED: Final[dict[str, tuple[str, ...]]] = {**STATES, "gru": ("h", "c")}
"""The states of a projected cell. A projected GRU needs its unprojected state c for the next step, beside h."""

PEEPHOLES: Final[dict[str, tuple[str, ...]]] = {"lstm": ("i", "f", "o"), "cifg": ("f", "o")}
"""The gates that read c through a peephole: the rows of ``w_ch``, in order."""

DIAGONAL: Final[tuple[str, ...]] = ("mingru", "minlstm", "lru")
"""Cells in which the next state of a unit depends linearly on the unit's own last state, and on no other."""

QUANTILES: Final[tuple[float, ...]] = (0.1, 0.5, 0.9)
"""The quantile levels of every forecast."""

UNKNOWN: Final[int] = 0
"""Index of ``<unk>`` in every vocabulary: an unknown unit, or the unknown past before a stream begins."""
