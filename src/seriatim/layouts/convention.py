"""The weight layouts of each framework, which the converters and the documentation read from here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from seriatim.notation import GATES, STATES


@dataclass(frozen=True)
class Convention:
    """The layout of the weights of one cell in one framework, for one direction."""

    gates: tuple[str, ...]
    """Blocks in their order, by the letters of ``notation.GATES``."""
    letters: str
    """The framework's own names of the same blocks."""
    kernels: str
    """Shapes of the weights of x and of h."""
    biases: str
    states: tuple[str, ...]
    """In the order of the framework's own state, by the letters of ``notation.STATES``."""
    z: str = ""
    """The state or value whose share a GRU's z is."""
    reset: str = ""
    """Whether a GRU's reset gate is applied before or after the product."""
    peepholes: tuple[str, ...] = ()
    """Gates in the order of the peephole weights; empty if there are none."""

    def ours(self, array: NDArray[Any], kind: str) -> NDArray[Any]:
        """Reorder blocks of rows from this order to the order of ``notation``."""
        return reordered(array, self.gates, GATES[kind])

    def theirs(self, array: NDArray[Any], kind: str) -> NDArray[Any]:
        """Reorder blocks of rows from the order of ``notation`` to this order."""
        return reordered(array, GATES[kind], self.gates)


KEPT: Final = "kept: h_t = z ⊙ h + (1 - z) ⊙ n"
PEEPHOLES: Final = ("i", "f", "o")
"""Seriatim's order, in ``Weights.w_ch``."""
_ROWS, _COLUMNS, _DIRECTIONS = "[G·H, I], [G·H, H]", "[I, G·H], [H, G·H]", "[D, G·H, I], [D, G·H, H]"
_TWO = "two, [G·H] each"

CONVENTIONS: Final[dict[str, dict[str, Convention]]] = {
    "Seriatim": {
        "rnn": Convention(GATES["rnn"], " ".join(GATES["rnn"]), _ROWS, _TWO, STATES["rnn"]),
        "lstm": Convention(
            GATES["lstm"], " ".join(GATES["lstm"]), _ROWS, _TWO, STATES["lstm"], peepholes=PEEPHOLES,
        ),
        "gru": Convention(GATES["gru"], " ".join(GATES["gru"]), _ROWS, _TWO, STATES["gru"], KEPT, "after or before"),
    },
    "PyTorch": {
        "rnn": Convention(("h",), "h", _ROWS, _TWO, ("h",)),
        "lstm": Convention(("i", "f", "g", "o"), "i f g o", _ROWS, _TWO, ("h", "c")),
        "gru": Convention(("r", "z", "n"), "r z n", _ROWS, _TWO, ("h",), KEPT, "after"),
    },
    "Keras": {
        "rnn": Convention(("h",), "h", _COLUMNS, "one, [H]", ("h",)),
        "lstm": Convention(("i", "f", "g", "o"), "i f c o", _COLUMNS, "one, [G·H]", ("h", "c")),
        "gru": Convention(
            ("z", "r", "n"), "z r h", _COLUMNS, "[2, G·H] with `reset_after`, else one, [G·H]", ("h",), KEPT,
            "after or before",
        ),
    },
    "ONNX": {
        "rnn": Convention(("h",), "i", _DIRECTIONS, "[D, 2·H], Wb then Rb", ("h",)),
        "lstm": Convention(
            ("i", "o", "f", "g"), "i o f c", _DIRECTIONS, "[D, 2·G·H], Wb then Rb", ("h", "c"),
            peepholes=("i", "o", "f"),
        ),
        "gru": Convention(
            ("z", "r", "n"), "z r h", _DIRECTIONS, "[D, 2·G·H], Wb then Rb", ("h",), KEPT, "after or before",
        ),
    },
    "flax nnx": {
        "rnn": Convention(("h",), "h", _COLUMNS, "one, [H], with x", ("h",)),
        "lstm": Convention(("i", "f", "g", "o"), "i f g o", _COLUMNS, "one, [G·H], with h", ("c", "h")),
        "gru": Convention(("r", "z", "n"), "r z n", _COLUMNS, "one, [G·H], with x; none with h", ("h",), KEPT, "after"),
    },
}  # fmt: skip
"""Conventions by framework and kind of cell."""


def reordered(array: NDArray[Any], current: tuple[str, ...], order: Iterable[str]) -> NDArray[Any]:
    """Reorder blocks of rows (axis 0) from the order ``current`` to ``order``."""
    blocks = dict(zip(current, np.split(array, len(current)), strict=True))
    return np.concatenate([blocks[gate] for gate in order])


def table() -> str:
    """Return ``CONVENTIONS`` as a Markdown table, for ``docs/interchange.md``."""
    head = ("cell", "framework", "gates in order", "called", "weights of x and h", "biases", "peepholes", "state")
    rows = [head, ("---",) * len(head)]
    for kind in CONVENTIONS["Seriatim"]:
        for framework, cells in CONVENTIONS.items():
            convention = cells[kind]
            peepholes = " ".join(convention.peepholes) or "–"
            rows.append(
                (kind, framework, " ".join(convention.gates), convention.letters, convention.kernels,
                 convention.biases, peepholes, " ".join(convention.states))
            )  # fmt: skip
    gru_rows = [("framework", "share that z is", "reset gate"), ("---",) * 3]
    for framework, cells in CONVENTIONS.items():
        gru_rows.append((framework, cells["gru"].z, f"{cells['gru'].reset} the product"))
    return "\n\n".join("\n".join("| " + " | ".join(row) + " |" for row in part) for part in (rows, gru_rows))
