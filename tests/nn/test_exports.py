"""The public names of the room are a written list."""

from __future__ import annotations

from seriatim import nn


def test_the_list_is_what_there_is():
    assert nn.__all__ == [
        "GRU", "LRU", "LSTM", "RNN", "SLSTM", "Cell", "GRUCell", "LRUCell", "LSTMCell", "LockedDropout", "MinGRU",
        "MinGRUCell", "MinLSTM", "MinLSTMCell", "RNNCell", "Recurrent", "SLSTMCell", "Stacked", "Stream", "accelerate",
        "cell", "register",
    ]  # fmt: skip
    for name in nn.__all__:
        assert getattr(nn, name).__name__ == name
        assert getattr(nn, name).__doc__
