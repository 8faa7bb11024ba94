"""AOTInductor: `torch.export`, compiled ahead of time, loaded and called without the model.

An LSTM in both directions; shapes are B, T, I, H = 8, 100, 16, 64. Compilation and loading are not timed.
"""

from __future__ import annotations

import tempfile

import torch
from torch import nn

DISTRIBUTION = "torch"


class Tagger(nn.Module):
    """An LSTM in both directions and a linear head on each output."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(16, 64, bidirectional=True, batch_first=True)
        self.head = nn.Linear(128, 7)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


def prepare(change):
    """Build, export and compile the model, and return the function that is timed."""
    model = Tagger().eval()
    change(model)
    x = torch.randn(8, 100, 16)
    with torch.no_grad():
        exported = torch.export.export(model, (x,))
    with tempfile.TemporaryDirectory() as folder:
        file = torch._inductor.aoti_compile_and_package(exported, package_path=f"{folder}/model.pt2")
        runner = torch._inductor.aoti_load_package(file)

    def call():
        for _ in range(200):
            output = runner(x)
        return output.numpy()

    return call
