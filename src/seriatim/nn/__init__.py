"""Recurrent layers and cells as ``torch.nn.Module``s: PyTorch's constructors, call forms and ``state_dict``."""

from __future__ import annotations

from seriatim.nn.accelerate import accelerate
from seriatim.nn.blocks import Blocks
from seriatim.nn.cell_laws import check_cell
from seriatim.nn.cells import GRUCell, LSTMCell, RNNCell
from seriatim.nn.custom_cell import Cell, cell
from seriatim.nn.custom_layer import Recurrent
from seriatim.nn.dropout import LockedDropout
from seriatim.nn.layers import GRU, LSTM, RNN
from seriatim.nn.modern_layers import LRU, SLSTM, LRUCell, MinGRU, MinGRUCell, MinLSTM, MinLSTMCell, SLSTMCell
from seriatim.nn.registry import register
from seriatim.nn.restoration import restore
from seriatim.nn.stacking import Stacked
from seriatim.nn.stream import Stream

__all__ = [
    "GRU", "LRU", "LSTM", "RNN", "SLSTM", "Blocks", "Cell", "GRUCell", "LRUCell", "LSTMCell", "LockedDropout", "MinGRU",
    "MinGRUCell", "MinLSTM", "MinLSTMCell", "RNNCell", "Recurrent", "SLSTMCell", "Stacked", "Stream", "accelerate",
    "cell", "check_cell", "register", "restore",
]  # fmt: skip
