"""Opacus: `make_private` trains a `DPLSTM` after `seriatim.restore`.

Opacus has an LSTM of its own, `DPLSTM`, by which `ModuleValidator.fix` replaces `nn.LSTM`. It compares classes, so an
accelerated model needs `seriatim.restore` first. Both sides then train the same layers: the ratio is 1.
"""

from __future__ import annotations

import torch
from opacus import PrivacyEngine
from opacus.validators import ModuleValidator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seriatim

PACKAGES = ("opacus",)
DISTRIBUTION = "opacus"


class Classifier(nn.Module):
    """An LSTM and a linear head on its last output."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 32, batch_first=True)
        self.head = nn.Linear(32, 3)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    model = Classifier()
    change(model)
    seriatim.restore(model)
    model = ModuleValidator.fix(model)
    data = DataLoader(TensorDataset(torch.randn(128, 20, 6), torch.randint(3, (128,))), 32)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    generator = torch.Generator().manual_seed(0)
    model, optimizer, data = PrivacyEngine().make_private(
        module=model, optimizer=optimizer, data_loader=data, noise_multiplier=1.0, max_grad_norm=1.0,
        noise_generator=generator, poisson_sampling=False,
    )  # fmt: skip

    def train():
        losses = []
        for x, label in data:
            loss = nn.functional.cross_entropy(model(x), label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    return train
