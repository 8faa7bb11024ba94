"""How each framework lays out the weights of a layer: the one place that the converters and the documentation read."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from seriatim.errors import UsageError
from seriatim.nn.cells import GRUCell
from seriatim.nn.layers import GRU
from seriatim.notation import GATES, STATES

Gated = TypeVar("Gated", GRU, GRUCell)


@dataclass(frozen=True)
class Convention:
    """The weights of one cell in one framework, one direction."""

    gates: tuple[str, ...]
    """Blocks in their order, by the letters of ``notation.GATES``."""
    letters: str
    """The same blocks as the framework calls them."""
    kernels: str
    """Shapes of the weights of x and of h."""
    biases: str
    states: tuple[str, ...]
    """In the order of the framework's own state, by the letters of ``notation.STATES``."""
    z: str = ""
    """What a GRU's z is the share of."""
    reset: str = ""
    """Where a GRU's reset gate stands."""
    peepholes: tuple[str, ...] = ()
    """Gates in the order of the weights from c; empty where there are none."""

    def ours(self, array: NDArray[Any], kind: str) -> NDArray[Any]:
        """Blocks of rows from this order to that of ``notation``."""
        return reordered(array, self.gates, GATES[kind])

    def theirs(self, array: NDArray[Any], kind: str) -> NDArray[Any]:
        """Blocks of rows from the order of ``notation`` to this one."""
        return reordered(array, GATES[kind], self.gates)


KEPT: Final = "kept: h_t = z ⊙ h + (1 - z) ⊙ n"
PEEPHOLES: Final = ("i", "f", "o")
"""Our order: ``Weights.w_ch``."""
_ROWS, _COLUMNS, _DIRECTIONS = "[G·H, I], [G·H, H]", "[I, G·H], [H, G·H]", "[D, G·H, I], [D, G·H, H]"
_TWO = "two, [G·H] each"

CONVENTIONS: Final[dict[str, dict[str, Convention]]] = {
    "Seriatim": {
        "rnn": Convention(GATES["rnn"], "h", _ROWS, _TWO, STATES["rnn"]),
        "lstm": Convention(GATES["lstm"], "i f g o", _ROWS, _TWO, STATES["lstm"], peepholes=PEEPHOLES),
        "gru": Convention(GATES["gru"], "r z n", _ROWS, _TWO, STATES["gru"], KEPT, "after or before"),
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
"""By framework and kind of cell."""


def reordered(array: NDArray[Any], have: tuple[str, ...], want: Iterable[str]) -> NDArray[Any]:
    """Blocks of rows (axis 0), named ``have``, in the order ``want``."""
    blocks = dict(zip(have, np.split(array, len(have)), strict=True))
    return np.concatenate([blocks[gate] for gate in want])


def table() -> str:
    """``CONVENTIONS`` as a Markdown table, as it stands in ``docs/interchange.md``."""
    head = ("cell", "framework", "gates in order", "called", "weights of x and h", "biases", "peepholes", "state")
    rows = [head, ("---",) * len(head)]
    for kind in CONVENTIONS["Seriatim"]:
        for framework, cells in CONVENTIONS.items():
            one = cells[kind]
            peepholes = " ".join(one.peepholes) or "–"
            rows.append(
                (kind, framework, " ".join(one.gates), one.letters, one.kernels, one.biases, peepholes,
                 " ".join(one.states))
            )  # fmt: skip
    of_gru = [("framework", "z is the share", "reset gate stands"), ("---",) * 3]
    of_gru += [(framework, cells["gru"].z, f"{cells['gru'].reset} the product") for framework, cells in _named()]
    return "\n\n".join("\n".join("| " + " | ".join(row) + " |" for row in part) for part in (rows, of_gru))


def convert_z(gru: Gated) -> Gated:
    """A copy of a GRU or GRUCell whose z stands for 1 - z: W_z and b_z are negated, as σ(-a) = 1 - σ(a).

    Weights that were made for h_t = (1 - z) ⊙ h + z ⊙ n, z as "how much new", and then loaded into ``gru`` come out
    as weights for the z of here, "how much old"; and the other way about. With layer normalisation the gains and biases
    are negated, as the weights are normalised together. Raises ``UsageError`` for any other module.
    """
    if not isinstance(gru, (GRU, GRUCell)):
        raise UsageError(f"gru: got {type(gru).__name__}, wanted a GRU or a GRUCell")
    converted = copy.deepcopy(gru)
    prefixes = ("gain_", "bias_") if gru.layer_norm else ("weight_", "bias_")
    with torch.no_grad():
        for name, parameter in converted.named_parameters():
            if name.startswith(prefixes):
                parameter.chunk(len(GATES["gru"]))[GATES["gru"].index("z")].neg_()
    return converted


def _named() -> Iterator[tuple[str, dict[str, Convention]]]:
    return iter(CONVENTIONS.items())
