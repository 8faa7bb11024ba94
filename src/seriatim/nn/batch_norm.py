"""Batch normalisation over the rows of a batch (Ioffe & Szegedy 2015), which also takes a batch of one row."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn
from torch.nn import functional


@final
class AcrossRows(nn.Module):
    """Batch normalisation of rows [N, size]. While training, a single row uses the running statistics.

    A single row has no variance, so ``torch.nn.BatchNorm1d`` refuses it.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(size)

    def forward(self, inputs: Tensor) -> Tensor:
        norm = self.norm
        if len(inputs) > 1:
            normalised: Tensor = norm(inputs)
            return normalised
        return functional.batch_norm(
            inputs, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps
        )
