"""Packed data to padded rows and back: a single copy each, forward and backward, where PyTorch goes step by step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from seriatim.ops.variable_length import permute_rows


def unpacked(packed: PackedSequence) -> tuple[Tensor, Tensor, Places]:
    """Padded rows [T, B, ·] in packed order (falling length), their lengths [B], and what is where.

    Padding holds anything: a recurrence does not read it.
    """
    sizes = packed.batch_sizes
    rows = int(sizes[0])
    there = torch.arange(rows) < sizes[:, None]
    of_data = there.flatten().nonzero().squeeze(1)
    of_padded = torch.zeros(there.numel(), dtype=torch.int64).index_copy(0, of_data, torch.arange(len(of_data)))
    device = packed.data.device
    places = Places(of_data.to(device), of_padded.to(device))
    padded = permute_rows(packed.data, places.of_padded, places.of_data)
    return padded.view(-1, rows, padded.shape[1]), there.sum(0), places


def repacked(padded: Tensor, places: Places) -> Tensor:
    """The rows of [T, B, ·] that are not padding, as packed data."""
    return permute_rows(padded.flatten(0, 1), places.of_data, places.of_padded)


class Places(NamedTuple):
    """What is where in packed data and in padded rows."""

    of_data: Tensor
    """Where each row of the packed data stands among the T·B."""
    of_padded: Tensor
    """Where each of the T·B stands in the packed data; 0 for padding."""
