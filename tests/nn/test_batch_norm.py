"""Batch normalisation of rows: PyTorch's, but for a single row."""

from __future__ import annotations

import torch
from torch import nn

from seriatim.nn.batch_norm import AcrossRows


def test_several_rows_are_normalised_as_pytorch_does() -> None:
    ours, theirs, rows = AcrossRows(3), nn.BatchNorm1d(3), torch.randn(7, 3) * 2 + 1
    torch.testing.assert_close(ours(rows), theirs(rows))
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.norm.state_dict()[name], value)


def test_single_row_uses_running_statistics_and_does_not_change_them() -> None:
    norm = AcrossRows(2)
    norm.norm.running_mean, norm.norm.running_var = torch.tensor([1.0, 2.0]), torch.tensor([4.0, 9.0])
    torch.testing.assert_close(norm(torch.tensor([[3.0, 8.0]])), torch.tensor([[1.0, 2.0]]), rtol=1e-4, atol=1e-4)
    assert norm.norm.running_mean.tolist() == [1.0, 2.0]
