"""The public names of seriatim.nn are a written list."""

from __future__ import annotations

from seriatim import nn


def test_public_names_are_the_written_list():
    assert nn.__all__ == [
        "GRU", "LRU", "LSTM", "RNN", "SLSTM", "Blocks", "Cell", "GRUCell", "LRUCell", "LSTMCell", "LockedDropout",
        "MinGRU", "MinGRUCell", "MinLSTM", "MinLSTMCell", "RNNCell", "Recurrent", "SLSTMCell", "Stacked", "Stream",
        "accelerate", "cell", "check_cell", "register", "restore",
    ]  # fmt: skip
    for name in nn.__all__:
        assert getattr(nn, name).__name__ == name
        assert getattr(nn, name).__doc__
