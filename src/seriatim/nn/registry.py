"""Layers and cells by the name of their kind, and the registration of user-written cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from seriatim.errors import UsageError
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.custom_cell import Maker
from seriatim.nn.layers import GRU, LSTM, RNN
from seriatim.nn.modern_layers import LRU, SLSTM, LRUCell, MinGRU, MinGRUCell, MinLSTM, MinLSTMCell, SLSTMCell
from seriatim.spec import REGISTERED

LAYERS: dict[str, Any] = {
    "rnn": RNN, "lstm": LSTM, "cifg": partial(LSTM, coupled=True), "gru": GRU, "mingru": MinGRU, "minlstm": MinLSTM,
    "slstm": SLSTM, "lru": LRU,
}  # fmt: skip
CELLS: dict[str, Any] = {
    "rnn": RNNCell, "lstm": LSTMCell, "cifg": partial(LSTMCell, coupled=True), "gru": GRUCell,
    "mingru": MinGRUCell, "minlstm": MinLSTMCell, "slstm": SLSTMCell, "lru": LRUCell,
}  # fmt: skip


def layer_arguments(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn fields of a ``CellSpec`` into keyword arguments of a layer or a cell; the kind is left out."""
    names = {"activation": "nonlinearity"}
    return {names.get(name, name): value for name, value in settings.items() if name != "kind"}


@dataclass(frozen=True)
class RegisteredCell:
    """A user-written cell, as a model of any task."""

    maker: Maker
    compile: bool


def register(name: str, maker: Maker, *, compile: bool = False) -> None:
    """Make ``model=name`` a network of user-written cells, in ``seriatim.train`` for any task and in ``seriatim.load``.

    ``maker`` is a ``Cell`` class, the result of ``cell``, or any function (input size, hidden size) → ``Cell``;
    ``compile`` is as in ``Recurrent``. A run stores the weights and the name, not the code: register the same maker
    before loading the run in another process. A name can be registered again. Raises ``UsageError`` if the name is not
    an identifier or is the name of a built-in cell, and if ``maker`` cannot be called.

    >>> from seriatim.nn import cell
    >>> register("leaky", cell(lambda x, h, w: 0.9 * h + x @ w.T, {"w": ("H", "I")}))
    >>> run = seriatim.train("classify", data, model="leaky")  # doctest: +SKIP
    >>> del REGISTERED["leaky"]
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise UsageError(f"name: got {name!r}, wanted a word of letters, digits and _")
    if name in LAYERS:
        raise UsageError(f"name: '{name}' is a cell of seriatim's own, wanted another name")
    if not callable(maker):
        raise UsageError(f"maker: got {type(maker).__name__}, wanted a Cell class or a function that makes cells")
    REGISTERED[name] = RegisteredCell(maker, compile)
