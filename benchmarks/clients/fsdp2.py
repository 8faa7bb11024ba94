"""FSDP2 (`fully_shard`) with gloo, a process group of one process: a GRU with 2 layers.

Shapes are B, T, I, H = 16, 50, 32, 128. `accelerate` is called before `fully_shard`.
"""

from __future__ import annotations

import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard

DISTRIBUTION = "torch"


class Regressor(nn.Module):
    """Two GRU layers and a linear head on the last output."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(32, 128, num_layers=2, batch_first=True)
        self.head = nn.Linear(128, 1)

    def forward(self, x):
        return self.head(self.gru(x)[0][:, -1])


def join_group():
    """Begin a process group of this process alone, once."""
    if not distributed.is_initialized():
        distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    join_group()
    model = Regressor()
    change(model)
    mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
    fully_shard(model.gru, mesh=mesh)
    fully_shard(model, mesh=mesh)
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
