"""A plain PyTorch loop: two LSTM layers with dropout, Adam, packed sequences.

Shapes are B, T, I, H = 16, 60, 16, 64.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

DISTRIBUTION = "torch"
UPDATES = 10


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    lstm, head = nn.LSTM(16, 64, num_layers=2, dropout=0.2, batch_first=True), nn.Linear(64, 1)
    model = nn.ModuleList([lstm, head])
    change(model)
    lstm, head = model
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x, target = torch.randn(16, 60, 16), torch.randn(16, 1)
    lengths = torch.randint(20, 61, (16,))

    def train():
        losses = []
        for _ in range(UPDATES):
            _, (h_n, _) = lstm(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            loss = nn.functional.mse_loss(head(h_n[-1]), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return train
