"""`torch.compile`: both sides are compiled, and the first call is not timed.

A GRU with 2 layers; shapes are B, T, I, H = 16, 50, 32, 128.
"""

from __future__ import annotations

import torch
from torch import nn

DISTRIBUTION = "torch"


class Regressor(nn.Module):
    """Two GRU layers and a feed-forward head on the last output."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(32, 128, num_layers=2, batch_first=True)
        self.head = nn.Sequential(nn.LayerNorm(128), nn.Linear(128, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])


def prepare(change):
    """Build and compile the model, and return the function that is timed."""
    model = Regressor()
    change(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x, target = torch.randn(16, 50, 32), torch.randn(16, 1)
    compiled = torch.compile(model)
    compiled(x).sum().backward()

    def train():
        losses = []
        for _ in range(10):
            loss = nn.functional.mse_loss(compiled(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return train
