"""Every layer and every cell by the name of its kind."""

from __future__ import annotations

from typing import Any

from seriatim.nn.beyond import LRU, SLSTM, LRUCell, MinGRU, MinGRUCell, MinLSTM, MinLSTMCell, SLSTMCell
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.layers import GRU, LSTM, RNN

LAYERS: dict[str, Any] = {
    "rnn": RNN, "lstm": LSTM, "gru": GRU, "mingru": MinGRU, "minlstm": MinLSTM, "slstm": SLSTM, "lru": LRU,
}  # fmt: skip
CELLS: dict[str, Any] = {
    "rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell, "mingru": MinGRUCell, "minlstm": MinLSTMCell,
    "slstm": SLSTMCell, "lru": LRUCell,
}  # fmt: skip
