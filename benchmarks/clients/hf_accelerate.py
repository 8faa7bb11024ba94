"""Hugging Face accelerate: `Accelerator.prepare` and `backward` around an LSTM language model.

Shapes are B, T, I, H = 20, 35, 128, 128, with 1000 units. `seriatim.accelerate` is called before `prepare`.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

PACKAGES = ("accelerate",)
DISTRIBUTION = "accelerate"


class Language(nn.Module):
    """Embedding, two LSTM layers with dropout, and a linear head."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 128)
        self.lstm = nn.LSTM(128, 128, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(128, 1000)

    def forward(self, units):
        output, _ = self.lstm(self.embedding(units))
        return self.head(output)


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    accelerator = Accelerator(cpu=True)
    model = Language()
    change(model)
    data = TensorDataset(torch.randint(1000, (400, 36)))
    model, optimizer, batches = accelerator.prepare(
        model, torch.optim.Adam(model.parameters(), 1e-3), DataLoader(data, 20, shuffle=True)
    )

    def fit():
        losses = []
        for (units,) in batches:
            loss = nn.functional.cross_entropy(model(units[:, :-1]).flatten(0, 1), units[:, 1:].flatten())
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
            losses.append(loss.item())
        return losses

    return fit
