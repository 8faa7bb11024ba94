"""Letters and orders, decided once.

Axes
    T time steps · B batch · C input channels · H hidden units · P projected units
    G gates · L layers · D directions · V vocabulary · K classes · Q quantiles
    sequences inside the package are time-major: ``[T, B, C]``

Orders
    gate blocks stand in PyTorch's order, so that weights are PyTorch's weights
    states stand in the order of ``STATES``
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
"""What a cell carries from step to step, in order."""

PROJECTED: Final[dict[str, tuple[str, ...]]] = {**STATES, "gru": ("h", "c")}
"""The same of a projected cell. A GRU hands a share of its state on, as wide as its gates: it stands beside h then."""

PEEPHOLES: Final[dict[str, tuple[str, ...]]] = {"lstm": ("i", "f", "o"), "cifg": ("f", "o")}
"""The gates that read c through a peephole: the rows of ``w_ch``, in order."""

DIAGONAL: Final[tuple[str, ...]] = ("mingru", "minlstm", "lru")
"""Cells of which each unit's next state depends on its own last state alone, and linearly."""

QUANTILES: Final[tuple[float, ...]] = (0.1, 0.5, 0.9)
"""The levels at which every forecast is given."""

UNKNOWN: Final[int] = 0
"""Index of ``<unk>`` in every vocabulary: a unit never seen, and the unknown past before a stream begins."""
