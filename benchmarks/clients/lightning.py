"""Lightning: a `Trainer` fits a classifier with a GRU.

Shapes are B, T, I, H = 32, 100, 8, 64. `accelerate` is called on the module before `fit`.
"""

from __future__ import annotations

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

PACKAGES = ("lightning",)
DISTRIBUTION = "lightning"


class Classifier(lightning.LightningModule):
    """A GRU in both directions and a linear head."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(8, 64, batch_first=True, bidirectional=True)
        self.head = nn.Linear(128, 4)
        self.losses = []

    def training_step(self, batch, _):
        x, label = batch
        output, _ = self.gru(x)
        loss = nn.functional.cross_entropy(self.head(output.mean(1)), label)
        self.losses.append(loss.item())
        return loss

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), 1e-3)


def prepare(change):
    """Build the model and the data, and return the function that is timed."""
    model = Classifier()
    change(model)
    data = TensorDataset(torch.randn(512, 100, 8), torch.randint(4, (512,)))
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip

    def fit():
        trainer.fit(model, DataLoader(data, 32, shuffle=True))
        return model.losses

    return fit
