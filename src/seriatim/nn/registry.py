"""Every layer and every cell by the name of its kind, and a user's own beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seriatim.errors import UsageError
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.custom_cell import Maker
from seriatim.nn.layers import GRU, LSTM, RNN
from seriatim.nn.modern_layers import LRU, SLSTM, LRUCell, MinGRU, MinGRUCell, MinLSTM, MinLSTMCell, SLSTMCell
from seriatim.spec import REGISTERED

LAYERS: dict[str, Any] = {
    "rnn": RNN, "lstm": LSTM, "gru": GRU, "mingru": MinGRU, "minlstm": MinLSTM, "slstm": SLSTM, "lru": LRU,
}  # fmt: skip
CELLS: dict[str, Any] = {
    "rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell, "mingru": MinGRUCell, "minlstm": MinLSTMCell,
    "slstm": SLSTMCell, "lru": LRUCell,
}  # fmt: skip


def layer_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a layer or a cell of this kind is called with, beside its sizes, of the words of a ``CellSpec``."""
    theirs = {"activation": "nonlinearity"}
    return {theirs.get(name, name): value for name, value in settings.items() if name != "kind"}


@dataclass(frozen=True)
class RegisteredCell:
    """A user's cell as a model of any task."""

    maker: Maker
    compile: bool


def register(name: str, maker: Maker, *, compile: bool = False) -> None:
    """Make ``model="name"`` mean a network of such cells, in ``seriatim.train`` for any task and in ``seriatim.load``.

    A run keeps the weights and the name, not the code: register the same maker again before loading it in another
    process. The name may be registered anew. Raises ``UsageError`` for a name that is no word, or one of ours.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise UsageError(f"name: got {name!r}, wanted a word of letters, digits and _")
    if name in LAYERS:
        raise UsageError(f"name: '{name}' is a cell of seriatim's own, wanted another name")
    if not callable(maker):
        raise UsageError(f"maker: got {type(maker).__name__}, wanted a Cell class or a function that makes cells")
    REGISTERED[name] = RegisteredCell(maker, compile)
