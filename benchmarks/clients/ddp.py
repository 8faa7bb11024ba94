"""`DistributedDataParallel` with gloo, a process group of one process: an LSTM with 2 layers.

Shapes are B, T, I, H = 16, 50, 32, 128. `accelerate` is called before DDP wraps the model.
"""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

DISTRIBUTION = "torch"


class Regressor(nn.Module):
    """Two LSTM layers and a linear head on the last output."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(32, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, 1)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def join_group():
    """Begin a process group of this process alone, once."""
    if not distributed.is_initialized():
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    join_group()
    model = Regressor()
    change(model)
    model = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    x, target = torch.randn(16, 50, 32), torch.randn(16, 1)

    def train():
        losses = []
        for _ in range(20):
            loss = nn.functional.mse_loss(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return train
